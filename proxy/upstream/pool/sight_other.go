//go:build !unix

package pool

import (
	"errors"
	"net"

	"persona-sidecar/proxy/wire"
)

// sight would look at a socket. Where that cannot be done, connections are used once.
type sight struct{ raw *struct{} }

func sightOf(net.Conn) *sight { return new(sight) }

func (*sight) nothing() bool { return false }

func (*sight) wait(*wire.Buffers) ([]byte, int, error) { return nil, 0, errors.ErrUnsupported }

func (*sight) exchange([]byte, *wire.Buffers, *wire.Buffers) (unsent, buf []byte, n int, err error) {
	return nil, nil, 0, errors.ErrUnsupported
}
