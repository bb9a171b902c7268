package certs

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/mholt/acmez/v3"
)

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

// isChallenge reports whether a handshake is that of an ACME server which checks a
// TLS-ALPN-01 challenge (RFC 8737 section 3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// ownStatus completes the status of a name that is served with the operator's own
// certificate.
func (a *ACME) ownStatus(status Status) Status {
	for _, own := range a.own.Status() {
		status.NotAfter = own.NotAfter
		if status.Problem == "" {
			status.Problem = own.Problem
		}
	}
	if !a.own.HasCertificate(status.Name) && status.Problem == "" {
		status.Problem = "the certificate of tls.cert_file, served until there is one by ACME, is not for this name"
	}
	return status
}
