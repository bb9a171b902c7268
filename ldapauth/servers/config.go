package servers

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Config says which servers there are and how they are asked. All but Roots, BindDN and
// BindPassword is required.
type Config struct {
	// URLs are ldap://host[:port] or ldaps://host[:port], the preferred one first.
	URLs []string
	// StartTLS encrypts connections of ldap:// URLs before anything is said. Without it they are in clear.
	StartTLS bool
	// Roots are the CAs that may sign the servers' certificates; nil: the system's.
	Roots *x509.CertPool
	// BindDN and BindPassword are the service account that searches. Both empty: anonymous searches.
	BindDN       string
	BindPassword Secret
	// Timeout bounds a look in the background.
	Timeout time.Duration
	// MaxBinds and MaxSearches bound the operations in flight.
	MaxBinds, MaxSearches int
	Log                   zerolog.Logger
}

// New returns the set. It does no I/O.
func New(cfg Config) (*Set, error) {
	s := &Set{
		log: cfg.Log, timeout: cfg.Timeout, state: make([]serverState, len(cfg.URLs)),
		searches: make(limit, cfg.MaxSearches), binds: make(limit, cfg.MaxBinds),
	}
	for _, u := range cfg.URLs {
		one, err := newServer(u, &cfg)
		if err != nil {
			return nil, err
		}
		s.list = append(s.list, one)
	}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

// Secret is a password that no format verb, logger or encoder prints.
type Secret string

const hidden = "[hidden]"

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText hides the secret from encoding/json and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
