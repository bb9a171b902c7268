package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

// Host is a host name whose identity paths are answered here.
type Host struct {
	// Name is canonical: lower case, A-labels, without port and final dot.
	Name string
	// Origin is how browsers name the host: https://name, or
	// https://name:port where the world sees another port than 443.
	Origin string
	Role   Role

	// Authority is the other host that a Delegating host names as its
	// authority: host or host:port, lower case.
	Authority string
	// Files is the origin whose scripts and styles the host's pages use: that of the
	// identity host that it belongs to; "": none is known, and they have no style. A
	// Provider has its own.
	Files string

	// The fields below are those of a Provider.

	Directory Directory
	// DirectoryName is the name that the configuration gives the directory.
	// A session is bound to it, and every Person.Directory must equal it.
	DirectoryName string
	// Answers is another number where the directory's settings, and so what it says of people, may be
	// others: what it said to a host with another number is not taken.
	Answers uint64
	// LoginByName and LoginByAddress report whether the directory finds people by a
	// user name and by an e-mail address. The sign-in form asks accordingly; where
	// neither is set, it asks for both.
	LoginByName, LoginByAddress bool
	// PasswordChanger changes passwords on a page of ours; nil: there is none.
	// PasswordURL is the page elsewhere where people change theirs; "": none.
	PasswordChanger PasswordChanger
	PasswordURL     string
	// Domains are the mail domains signed for, canonical. Addresses outside
	// them are dropped from what the directory returns.
	Domains []string
	// Hubs are the base URLs of further hubs that may frame the provisioning
	// page, such as https://hub.example.com/persona. The host's own hub is
	// always allowed and is not listed.
	Hubs []string
	// SessionLifetime is how long a session lasts at most, where a directory needs it
	// to be short; zero leaves it to the sessions.
	SessionLifetime time.Duration
	// CertificateLifetime is the upper bound, from MinCertificateLifetime to
	// MaxCertificateLifetime.
	CertificateLifetime time.Duration
	// Website reports that something else is served on this host, too.
	Website bool
	// Sites are the origins of the websites, by canonical host name, that are told who is
	// signed in here.
	Sites map[string]string
	// Apps reports that there are apps that people sign in to by OpenID Connect.
	Apps bool
}

// Role is what a host is to the protocol.
type Role int

// The roles of a host.
const (
	// Provider: the host is the authority over addresses; it signs people in
	// and certifies.
	Provider Role = iota + 1
	// Delegating: the host publishes that another one is its authority.
	Delegating
	// Disabled: the host publishes that it is no identity provider.
	Disabled
	// Site: the host publishes nothing; its website is told who is signed in at an
	// identity host. Delegating, Disabled and Provider hosts may have such a website, too.
	Site
)

// The bounds of Host.CertificateLifetime.
const (
	MinCertificateLifetime = time.Minute
	MaxCertificateLifetime = 24 * time.Hour
)

// Hub returns the base URL of the host's own hub.
func (h *Host) Hub() string { return h.Origin + "/persona" }

// Validate reports the first fault of h, but for its Hubs: many hosts share
// them, so that HubOrigin judges each once.
func (h *Host) Validate() error {
	if name, err := browserid.ParseAuthority(h.Name); err != nil || name != h.Name {
		return errors.New("the name is not a canonical host name")
	}
	if origin, err := HubOrigin(h.Origin); err != nil || origin != h.Origin {
		return fmt.Errorf("origin %q is not of the form https://host[:port]", h.Origin)
	}
	if files, err := HubOrigin(h.Files); h.Files != "" && (err != nil || files != h.Files) {
		return fmt.Errorf("the origin of the files, %q, is not of the form https://host[:port]", h.Files)
	}
	switch h.Role {
	case Provider:
		return h.validateProvider()
	case Delegating:
		if authority, err := browserid.ParseAuthority(h.Authority); err != nil || authority != h.Authority {
			return fmt.Errorf("authority %q is not a canonical host or host:port", h.Authority)
		}
		return nil
	case Disabled, Site:
		return nil
	}
	return errors.New("the role is missing")
}

func (h *Host) validateProvider() error {
	if h.Directory == nil || h.DirectoryName == "" {
		return errors.New("the directory or its name is missing")
	}
	if len(h.Domains) == 0 {
		return errors.New("no mail domain is listed")
	}
	if h.CertificateLifetime < MinCertificateLifetime || h.CertificateLifetime > MaxCertificateLifetime {
		return fmt.Errorf("certificate lifetime %s is not between %s and %s", h.CertificateLifetime, MinCertificateLifetime, MaxCertificateLifetime)
	}
	return nil
}

// HubOrigins returns the origins of Hubs, which HubOrigin must have accepted.
func (h *Host) HubOrigins() []string {
	origins := make([]string, len(h.Hubs))
	for i, hub := range h.Hubs {
		origins[i], _ = HubOrigin(hub)
	}
	return origins
}

// HubOrigin returns the origin of a hub's base URL, which must be https, name
// a canonical host, and have neither query nor fragment nor final slash.
func HubOrigin(base string) (string, error) {
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

// Authenticate asks the host's directory as [Directory] describes. Addresses
// outside the host's domains are dropped; an answer that makes no sense is an
// error. Every error wraps ErrUnavailable.
func (h *Host) Authenticate(ctx context.Context, login, password string, gate func(id string) bool) (Result, error) {
	result, err := h.Directory.Authenticate(ctx, login, password, gate)
	if err == nil && result.Status == OK {
		err = h.admit(&result.Person, "")
	}
	if err != nil {
		return result, fmt.Errorf("%w: asking the directory %s: %w", ErrUnavailable, h.DirectoryName, err)
	}
	return result, nil
}

// Lookup reads a person again, like [Host.Authenticate].
func (h *Host) Lookup(ctx context.Context, id string) (Result, error) {
	result, err := h.Directory.Lookup(ctx, id)
	if err == nil {
		switch result.Status {
		case Gone, NotAllowed, Deactivated, Expired, MustChange, Locked, NotInGroup:
			return result, nil
		case OK:
			err = h.admit(&result.Person, id)
		default:
			err = fmt.Errorf("the answer to a look-up is %s", result.Status)
		}
	}
	if err != nil {
		return Result{}, fmt.Errorf("%w: reading a person from the directory %s: %w", ErrUnavailable, h.DirectoryName, err)
	}
	return result, nil
}

// admit demands that the directory answered about the person asked for (id "":
// any), and keeps only the addresses that this host may sign for.
func (h *Host) admit(person *Person, id string) error {
	if person.Directory != h.DirectoryName || person.ID == "" || (id != "" && person.ID != id) {
		return errors.New("the answer is about another person than the one asked for")
	}
	person.Addresses, person.Contested = h.own(person.Addresses), h.own(person.Contested)
	return nil
}

// own returns the addresses in the host's domains, each once.
func (h *Host) own(addresses []browserid.Address) []browserid.Address {
	var kept []browserid.Address
	for _, address := range addresses {
		if slices.Contains(h.Domains, address.Domain()) && !slices.Contains(kept, address) {
			kept = append(kept, address)
		}
	}
	return kept
}
