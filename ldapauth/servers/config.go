package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"
)

// Config says which servers there are and how they are asked. Required are URLs or SRV, Timeout, MaxBinds and MaxSearches.
type Config struct {
	// URLs are ldap://host[:port] or ldaps://host[:port], the preferred one first. Each address of a name is a server.
	URLs []string
	// SRV is ldap://domain or ldaps://domain: the servers are those that DNS lists for it (RFC 2782).
	SRV string
	// StartTLS encrypts connections of ldap:// URLs before anything is said. Without it they are in clear.
	StartTLS bool
	// Roots are the CAs that may sign the servers' certificates; nil: the system's.
	Roots *x509.CertPool
	// TLSServerName is the name that certificates are checked for, instead of the host in the URL or the SRV record.
	TLSServerName string
	// ClientCertificate is asked at each handshake for the certificate to show; nil: none.
	ClientCertificate func() (*tls.Certificate, error)
	// BindDN and BindPassword are the service account that searches. Both empty: anonymous searches.
	BindDN       string
	BindPassword Secret
	// ReadPassword reads BindPassword anew, which is done when a server refuses it; nil: it never changes.
	ReadPassword func() (Secret, error)
	// Timeout bounds an operation whose context has no end, and a look in the background.
	Timeout time.Duration
	// MaxBinds and MaxSearches bound the operations in flight.
	MaxBinds, MaxSearches int
	// Resolver looks up the names; nil: the system's.
	Resolver Resolver
	// Now is the clock for how long a refused password is not tried again; nil: time.Now.
	Now func() time.Time
	Log zerolog.Logger
}

// Resolver is the part of *net.Resolver that is used.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// New returns the set. It does no I/O.
func New(cfg Config) (*Set, error) {
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Set{
		cfg: cfg, searches: newLimit(cfg.MaxSearches), binds: newLimit(cfg.MaxBinds),
		service: &service{dn: cfg.BindDN, password: cfg.BindPassword, read: cfg.ReadPassword, now: cfg.Now, turn: make(chan struct{}, 1)},
	}
	for _, u := range cfg.URLs {
		if err := s.addSource(u, false); err != nil {
			return nil, err
		}
	}
	if cfg.SRV != "" {
		if err := s.addSource(cfg.SRV, true); err != nil {
			return nil, err
		}
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
