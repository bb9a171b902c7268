package hub

import (
	"context"
	"errors"
	"net/netip"

	"persona-sidecar/idp/browserid"
)

// Authority is who confirms the addresses of a mail domain.
type Authority struct {
	Issuer         string // host or host:port; "" when Disabled
	Authentication string // absolute URL of the sign-in page
	Provisioning   string // absolute URL of the provisioning page
	// Disabled reports that the domain publishes that it has no identity provider.
	Disabled bool
}

// Discovery looks up the authority of a mail domain that is not ours, for a client
// network, by which look-ups are shared out. A *[NoAuthority] error gives a public
// reason why there is none, and [ErrBusy] asks to try again; any other error is
// not shown. Implementations are safe for concurrent use.
type Discovery interface {
	Discover(ctx context.Context, caller netip.Prefix, domain string) (Authority, error)
}

// ErrBusy means that a domain was not looked up because too many look-ups are
// under way.
var ErrBusy = errors.New("too many look-ups are under way")

// NoAuthority is why the authority of a domain is not known.
type NoAuthority struct {
	// Reason is for people: "example.org is not a browserid primary: …".
	Reason string
	// Offline reports that a later look-up may succeed.
	Offline bool
	Cause   error // for the log; may be nil
}

func (e *NoAuthority) Error() string {
	if e.Cause != nil {
		return e.Reason + ": " + e.Cause.Error()
	}
	return e.Reason
}

func (e *NoAuthority) Unwrap() error { return e.Cause }

// Authorities knows the authorities of our own domains and looks up those of others.
// It is safe for concurrent use.
type Authorities struct {
	own       map[string]Authority // by mail domain
	discovery Discovery
}

// NewAuthorities makes Authorities. With a nil discovery only our own domains are known.
func NewAuthorities(own map[string]Authority, discovery Discovery) *Authorities {
	return &Authorities{own: own, discovery: discovery}
}

// Owns reports whether a mail domain is answered without a look-up.
func (a *Authorities) Owns(domain string) bool {
	_, ok := a.own[domain]
	return ok
}

// AddressInfo is the answer about an address, as the historic centre gave it.
// Where it had a fallback identity provider of its own, there is none here:
// Type is secondary and Issuer empty, and Reason, which is new, says why.
type AddressInfo struct {
	Type            string `json:"type"` // primary or secondary
	Issuer          string `json:"issuer"`
	Authentication  string `json:"auth,omitempty"`
	Provisioning    string `json:"prov,omitempty"`
	Disabled        bool   `json:"disabled"`
	State           string `json:"state"` // unknown or offline
	NormalizedEmail string `json:"normalizedEmail"`
	Reason          string `json:"reason,omitempty"`
}

// The values of AddressInfo.
const (
	TypePrimary   = "primary"
	TypeSecondary = "secondary"
	StateUnknown  = "unknown"
	StateOffline  = "offline"
)

// AddressInfo returns who confirms an address. The error is what a look-up failed
// of, for the log; the answer is complete nevertheless, but for [ErrBusy].
func (a *Authorities) AddressInfo(ctx context.Context, caller netip.Prefix, address browserid.Address) (AddressInfo, error) {
	domain := address.Domain()
	info := AddressInfo{Type: TypeSecondary, State: StateUnknown, NormalizedEmail: address.String()}
	authority, own := a.own[domain]
	var err error
	switch {
	case own:
	case a.discovery == nil:
		err = &NoAuthority{Reason: "addresses of other domains cannot be looked up here"}
	default:
		authority, err = a.discovery.Discover(ctx, caller, domain)
	}
	switch {
	case err != nil:
		known, ok := errors.AsType[*NoAuthority](err)
		if !ok {
			known = &NoAuthority{Reason: domain + " could not be asked", Offline: true}
		}
		info.Reason = known.Reason
		if known.Offline {
			info.State = StateOffline
		}
		return info, err
	case authority.Disabled:
		info.Disabled = true
		info.Reason = domain + " publishes that it has no identity provider"
	default:
		info.Type, info.Issuer = TypePrimary, authority.Issuer
		info.Authentication, info.Provisioning = authority.Authentication, authority.Provisioning
	}
	return info, nil
}
