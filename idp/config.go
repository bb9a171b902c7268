package idp

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

// Config is everything a Server needs. All fields but Hub, Verifier, RequestID
// and Version are required.
type Config struct {
	Hosts    []identity.Host
	Keys     Keys
	Sessions *session.Sessions
	Throttle *Throttle

	// Verifier is nil where assertions are not verified for others.
	Verifier Verifier
	// LegacyClientKeys certifies the keys of historic browsers, too: DSA, and
	// RSA of 1024 bit.
	LegacyClientKeys bool

	// Hub is nil where the hosts are no hubs.
	Hub *Hub

	// HostName gives the canonical host of a request: lower case, A-labels,
	// without port and final dot; "" when it is not a host name.
	HostName func(*http.Request) string
	// ClientAddr gives the address of the browser, as far as it is believed.
	ClientAddr func(*http.Request) netip.Addr
	// RequestID gives the id under which a request stands in the log.
	RequestID func(*http.Request) string

	Now     func() time.Time
	Rand    io.Reader
	Log     zerolog.Logger
	Version string
	// Events is told what happened, for counting; nil: nobody is.
	Events Events
}

// Keys hands out what is needed of the domain keys. Errors mean that the keys
// of a host are not ready; the identity paths then answer 503.
type Keys interface {
	// Signer returns the current key of host for a use, and its id.
	Signer(host string, use keys.Use) (kid string, s crypto.Signer, err error)
	// Published returns the public keys of host for a use, the current one
	// first.
	Published(host string, use keys.Use) ([]keys.Public, error)
}

// validate reports every fault of c at once.
func (c Config) validate() error {
	var faults []error
	missing := func(name string, is bool) {
		if is {
			faults = append(faults, fmt.Errorf("%s is missing", name))
		}
	}
	missing("Keys", c.Keys == nil)
	missing("Sessions", c.Sessions == nil)
	missing("Throttle", c.Throttle == nil)
	missing("HostName", c.HostName == nil)
	missing("ClientAddr", c.ClientAddr == nil)
	missing("Now", c.Now == nil)
	missing("Rand", c.Rand == nil)
	seen := map[string]bool{}
	for _, host := range c.Hosts {
		if seen[host.Name] {
			faults = append(faults, fmt.Errorf("host %s is listed twice", host.Name))
		}
		seen[host.Name] = true
		if err := host.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("host %q: %w", host.Name, err))
		}
	}
	return errors.Join(faults...)
}
