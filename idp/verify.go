package idp

import (
	"net/http"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
)

const (
	pathVerify   = "/persona/verify"
	pathVerifyV2 = "/persona/v2"
)

// Verifier answers the servers of relying parties, which ask who stands behind
// an assertion, in the first and the second version of the historic service.
// Package verifier has one.
type Verifier interface {
	ServeV1(w http.ResponseWriter, r *http.Request)
	ServeV2(w http.ResponseWriter, r *http.Request)
}

// addVerifier adds the verifier's routes to a table, if there is one. They work
// without the host's keys: other domains have their own.
func (s *Server) addVerifier(routes map[string]route) {
	if s.config.Verifier == nil {
		return
	}
	for where, serve := range map[string]http.HandlerFunc{pathVerify: s.config.Verifier.ServeV1, pathVerifyV2: s.config.Verifier.ServeV2} {
		handle := func(w http.ResponseWriter, r *http.Request, _ *site) error {
			serve(w, r)
			return nil
		}
		routes[where] = route{class: verification, methods: post(handle), keyless: true}
	}
}

// verificationHeader is that of the historic service, but for HSTS: whether
// the website of this host is to be asked over TLS alone is not ours to say.
func verificationHeader(csp string) http.Header {
	h := header(csp, "private, no-cache, no-store, must-revalidate, max-age=0", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	return h
}

// Document tells what a domain of ours publishes, or would: a mail domain that
// is signed for and not served here delegates to its host. ok is false for any
// other domain. An error means that the keys are not ready yet.
func (s *Server) Document(domain string) (doc browserid.Document, ok bool, err error) {
	if site, ok := s.sites[domain]; ok {
		doc, err := s.document(site)
		return doc, true, err
	}
	if host, ok := s.signers[domain]; ok {
		return browserid.Delegation{Authority: host}, true, nil
	}
	return nil, false, nil
}

// signersOf maps each mail domain to the first host that signs for it.
func signersOf(hosts []identity.Host) map[string]string {
	signers := map[string]string{}
	for _, host := range hosts {
		for _, domain := range host.Domains {
			if _, taken := signers[domain]; !taken {
				signers[domain] = host.Name
			}
		}
	}
	return signers
}
