package verifier

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// Kind is why a domain has no authority.
type Kind int

// The kinds of a [LookupError].
const (
	// Invalid means that what was asked for is no domain.
	Invalid Kind = iota
	// Unreachable means that the domain's server did not answer as it should
	// over TLS, or not in time.
	Unreachable
	// Forbidden means that we do not ask: a port or an address that
	// configuration does not allow. Outsiders are told it is unreachable.
	Forbidden
	// NotProvider means that the server answered and has no support document.
	NotProvider
	// Disabled means that the domain says that it is no identity provider.
	Disabled
	// Malformed means that the support document breaks a rule.
	Malformed
	// Circular means that the delegation leads back to where it was.
	Circular
	// TooManyHops means that the delegation is longer than [MostHops].
	TooManyHops
)

// LookupError is why a domain has no authority. Its text is
// the historic verifiers', and reveals nothing about our network to outsiders; the
// cause, with a hint, is for the operator and comes by errors.Unwrap.
type LookupError struct {
	Kind   Kind
	Domain string // whose document it is about
	text   string
	cause  error
}

// Temporary reports whether asking again soon may help: the domain's server was not
// reached. A domain that does not exist, one that leads to where we do not ask, and
// a certificate that cannot be trusted stay as they are.
func (e *LookupError) Temporary() bool {
	if e.Kind != Unreachable {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](e.cause); ok {
		return !dns.IsNotFound
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](e.cause)
	return !untrusted
}

func (e *LookupError) Error() string { return e.text }

func (e *LookupError) Unwrap() error { return e.cause }

// notPrimary is a LookupError in the historic words for a domain without an
// identity provider.
func notPrimary(kind Kind, domain, why string, cause error) *LookupError {
	return &LookupError{kind, domain, domain + " is not a browserid primary - " + why, cause}
}

func timedOut(domain string, cause error) *LookupError {
	return &LookupError{Unreachable, domain, "timeout trying to load well-known for " + domain, cause}
}

func invalidDomain(domain string, cause error) *LookupError {
	if len(domain) > 80 {
		domain = domain[:80] + "..."
	}
	return &LookupError{Invalid, "", fmt.Sprintf("invalid domain: %q", domain), cause}
}
