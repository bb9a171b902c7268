package idp

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

// Config is everything a Server needs. All fields but Hub, Verifier, RequestID
// and Version are required.
type Config struct {
	Hosts    []Host
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

// Host is a host name whose identity paths the Server answers.
type Host struct {
	// Name is canonical, as Config.HostName returns it.
	Name string
	// Origin is how browsers name the host: https://name, or
	// https://name:port where the world sees another port than 443.
	Origin string
	Role   Role
}

// Role is what a host is to the protocol: Identity, Delegation or Disabled.
type Role interface{ role() }

// Identity makes a host the authority over addresses: it signs people in and
// certifies.
type Identity struct {
	Directory Directory
	// DirectoryName is the name that the configuration gives the directory.
	// A session is bound to it, and every Person.Directory must equal it.
	DirectoryName string
	// Domains are the mail domains signed for, canonical. Addresses outside
	// them are dropped from whatever the directory returns.
	Domains []string
	// Hubs are the base URLs of further hubs that may frame the provisioning
	// page, such as https://hub.example.com/persona. The host's own hub is
	// always allowed and is not listed.
	Hubs []string
	// CertificateLifetime is the upper bound, from one minute to 24 hours.
	CertificateLifetime time.Duration
	// Website says that something else is served on this host, too.
	Website bool
}

// Delegation makes a host publish that another one is its authority.
type Delegation struct {
	// Authority is host or host:port, lower case.
	Authority string
}

// Disabled makes a host publish that it is no identity provider.
type Disabled struct{}

func (Identity) role()   {}
func (Delegation) role() {}
func (Disabled) role()   {}

// Keys hands out what is needed of the domain keys. Errors mean that the keys
// of a host are not ready; the identity paths then answer 503.
type Keys interface {
	// Signer returns the key with which host signs certificates now.
	Signer(host string) (crypto.Signer, error)
	// Published returns the keys that verify the host's certificates, the
	// current one first.
	Published(host string) ([]*browserid.PublicKey, error)
}

// The bounds of Identity.CertificateLifetime.
const (
	minCertificateLifetime = time.Minute
	maxCertificateLifetime = 24 * time.Hour
)

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
		if err := host.validate(); err != nil {
			faults = append(faults, fmt.Errorf("host %q: %w", host.Name, err))
		}
	}
	return errors.Join(faults...)
}

func (h Host) validate() error {
	if name, err := browserid.ParseAuthority(h.Name); err != nil || name != h.Name {
		return errors.New("the name is not a canonical host name")
	}
	if origin, err := hubOrigin(h.Origin); err != nil || origin != h.Origin {
		return fmt.Errorf("origin %q is not of the form https://host[:port]", h.Origin)
	}
	switch role := h.Role.(type) {
	case Identity:
		return role.validate()
	case Delegation:
		if authority, err := browserid.ParseAuthority(role.Authority); err != nil || authority != role.Authority {
			return fmt.Errorf("authority %q is not a canonical host or host:port", role.Authority)
		}
	case Disabled:
	default:
		return errors.New("the role is missing")
	}
	return nil
}

func (i Identity) validate() error {
	if i.Directory == nil || i.DirectoryName == "" {
		return errors.New("the directory or its name is missing")
	}
	if len(i.Domains) == 0 {
		return errors.New("no mail domain is listed")
	}
	if i.CertificateLifetime < minCertificateLifetime || i.CertificateLifetime > maxCertificateLifetime {
		return fmt.Errorf("certificate lifetime %s is not between %s and %s", i.CertificateLifetime, minCertificateLifetime, maxCertificateLifetime)
	}
	for _, hub := range i.Hubs {
		if _, err := hubOrigin(hub); err != nil {
			return err
		}
	}
	return nil
}

// hubOrigin returns the origin of a hub's base URL, which must be https, name
// a canonical host, and have neither query nor fragment nor final slash.
func hubOrigin(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("hub %q is not a URL: %w", base, err)
	}
	authority, err := browserid.ParseAuthority(u.Host)
	if err != nil || authority != u.Host || u.Scheme != "https" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || strings.Contains(base, "#") || strings.HasSuffix(base, "/") || u.Port() == "443" {
		return "", fmt.Errorf("hub %q is not of the form https://host[:port][/path]", base)
	}
	return "https://" + u.Host, nil
}
