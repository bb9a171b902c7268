//go:build !unix

package pool

import (
	"errors"
	"net"

	"persona-sidecar/proxy/wire"
)

// sight would look at a socket. Where that cannot be done, connections are used once.
type sight struct{}

func sightOf(net.Conn) *sight { return nil }

func (*sight) nothing() bool { return false }

func (*sight) wait(*wire.Buffers) ([]byte, int, error) { return nil, 0, errors.ErrUnsupported }
