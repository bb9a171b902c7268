package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/mholt/acmez/v3/acme"
)

// storedError says that what the storage holds for a name cannot be used.
type storedError struct {
	path string // key in the storage
	err  error
}

func (e *storedError) Error() string {
	return fmt.Sprintf("reading the stored certificate %s: %v", e.path, e.err)
}

func (e *storedError) Unwrap() error { return e.err }

// hint says what the operator can do about a failure to obtain a certificate.
func hint(err error) string {
	if stored, ok := errors.AsType[*storedError](err); ok {
		return "correct what the cause says, or delete " + stored.path + " in the state directory: a new certificate is then obtained"
	}
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok { // of the storage
		return hinted.Hint()
	}
	if problem, ok := errors.AsType[acme.Problem](err); ok {
		// Before there is an account, "unauthorized" speaks of it and not of a name;
		// certmagic tells that in words only.
		registering := strings.Contains(err.Error(), "registering account ")
		if registering && problem.Type == acme.ProblemTypeUnauthorized {
			return "the ACME server does not take the account: check tls.acme.eab_key_id, and the key in the file of tls.acme.eab_mac_key_file"
		}
		return problemHint(problem)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the ACME server's own certificate is not trusted: set tls.acme.ca_file to the root of that server"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the ACME server's own certificate is for another name: check tls.acme.directory"
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return "the ACME server cannot be reached: check tls.acme.directory, the DNS, the firewall for outgoing HTTPS, and HTTPS_PROXY"
	}
	return "see the cause; it is tried again by itself"
}

// problemHint explains the problem documents of RFC 8555 section 6.7.
func problemHint(p acme.Problem) string {
	switch p.Type {
	case acme.ProblemTypeRateLimited:
		return "the ACME server limits how often may be asked: wait; it is tried again by itself, and a restart does not ask sooner"
	case acme.ProblemTypeDNS:
		return "the ACME server finds no address for the name: make an A or AAAA record that leads here"
	case acme.ProblemTypeConnection:
		return "the ACME server cannot connect to the address the name points to: ports 80 and 443 of it must lead to the listeners of this program"
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeTLS:
		return "the ACME server reached something else than this program: check the name's A and AAAA records, and that no other proxy stands before ports 80 and 443"
	case acme.ProblemTypeCAA:
		return "a CAA record of the domain forbids this ACME server to issue: change the record or the server"
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return "the ACME server does not issue for this name: a public server takes only names of the public DNS"
	case acme.ProblemTypeExternalAccountRequired:
		return "the ACME server serves its customers only: set tls.acme.eab_key_id and tls.acme.eab_mac_key_file to what it gave you for external account binding"
	case acme.ProblemTypeInvalidContact, acme.ProblemTypeUnsupportedContact:
		return "check tls.acme.email"
	}
	return "see the cause; it is tried again by itself"
}
