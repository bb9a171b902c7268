package certs

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
)

// TLSConfig returns the configuration for the TLS listener. A handshake for a
// name that is not configured fails with the alert unrecognized_name.
func (a *ACME) TLSConfig() *tls.Config {
	if a.issuer.DisableTLSALPNChallenge {
		return newTLSConfig(a.certificate)
	}
	return newTLSConfig(a.certificate, acmez.ACMETLS1Protocol)
}

// certificate is the GetCertificate of TLSConfig.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := canonicalName(hello.ServerName)
	if a.states[name] == nil {
		// No certificate and no error: crypto/tls answers unrecognized_name.
		// certmagic is not asked at all, so that strangers' names neither
		// reach the storage nor the log.
		return nil, nil
	}
	// The handshake of a TLS-ALPN-01 challenge (RFC 8737, section 3) offers this alone.
	challenge := len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
	if a.servesOwn(name) && !challenge {
		return &a.own.look().cert, nil
	}
	return a.config.GetCertificate(hello)
}

// HandleHTTPChallenge answers the request and returns true when it is the
// HTTP-01 challenge (RFC 8555 section 8.3) of an order under way; otherwise it
// returns false and has written nothing.
func (a *ACME) HandleHTTPChallenge(w http.ResponseWriter, r *http.Request) bool {
	if !certmagic.LooksLikeHTTPChallenge(r) {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if a.states[canonicalName(host)] == nil {
		return false
	}
	return a.issuer.HandleHTTPChallenge(w, r)
}

// HasCertificate reports whether a usable certificate was ever stored for the
// canonical host name, or the operator's own is for it. It costs a map access or
// two.
func (a *ACME) HasCertificate(name string) bool {
	state := a.states[name]
	return state != nil && (state.stored.Load() || a.own != nil && a.own.look().covers(name))
}

// Status returns the state of each name, in the order of ACMEConfig.Names.
func (a *ACME) Status() []Status {
	all := make([]Status, len(a.names))
	for i, name := range a.names {
		problem, retry := a.states[name].trouble()
		all[i] = Status{Name: name, NotAfter: a.notAfter(name), Problem: problem, Retry: retry}
		if !a.servesOwn(name) {
			continue
		}
		own := a.own.look()
		all[i].NotAfter = own.cert.Leaf.NotAfter
		if problem == "" {
			all[i].Problem = a.own.lastProblem()
		}
		if all[i].Problem == "" && !own.covers(name) {
			all[i].Problem = "the certificate of tls.cert_file, served until there is one by ACME, is not for this name"
		}
	}
	return all
}

// notAfter returns the latest end of validity among the certificates in use.
func (a *ACME) notAfter(name string) time.Time {
	var latest time.Time
	for _, cert := range a.cache.AllMatchingCertificates(name) {
		if cert.Leaf != nil && cert.Leaf.NotAfter.After(latest) {
			latest = cert.Leaf.NotAfter
		}
	}
	return latest
}

// openOwn reads the operator's own certificate, if one is configured. One that
// cannot be used is an error only while it is needed: a name without a
// certificate by ACME would have none at all.
func (a *ACME) openOwn(c ACMEConfig) error {
	if c.CertFile == "" {
		return nil
	}
	own, err := NewFiles(FilesConfig{CertFile: c.CertFile, KeyFile: c.KeyFile, Log: c.Log, Now: c.Now})
	needed := slices.ContainsFunc(a.names, func(name string) bool { return !a.states[name].stored.Load() })
	switch {
	case err == nil:
		a.own = own
	case needed:
		return fmt.Errorf("the certificate to serve until ACME has succeeded: %w", err)
	default:
		a.log.Warn().Err(err).Msg("the certificate of your own is not used: every name has one by ACME, so tls.cert_file and tls.key_file can be removed")
	}
	return nil
}

// servesOwn reports whether a name is served with the operator's own certificate.
func (a *ACME) servesOwn(name string) bool { return a.own != nil && !a.states[name].inUse.Load() }

// canonicalName folds a host name from the wire: lower case, no final dot.
func canonicalName(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
