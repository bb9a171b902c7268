package certs

import (
	"crypto/tls"
	"net/http"
	"time"
)

// Source is where the certificates of the TLS listener come from, whatever the
// TLS mode: [ACME], [Files] or [None].
type Source interface {
	// TLSConfig returns the configuration of the TLS listener, nil for no listener.
	TLSConfig() *tls.Config
	// HasCertificate reports whether plain HTTP redirects to HTTPS for a canonical
	// host name.
	HasCertificate(name string) bool
	// HandleHTTPChallenge answers an ACME HTTP-01 challenge, and reports whether
	// the request was one.
	HandleHTTPChallenge(w http.ResponseWriter, r *http.Request) bool
	// Status returns the state of each name's certificate.
	Status() []Status
	// Close ends all work in the background and waits for it.
	Close()
}

// None is the Source of a program behind a proxy that terminates TLS.
type None struct{}

// TLSConfig returns nil.
func (None) TLSConfig() *tls.Config { return nil }

// HasCertificate returns false.
func (None) HasCertificate(string) bool { return false }

// HandleHTTPChallenge returns false.
func (None) HandleHTTPChallenge(http.ResponseWriter, *http.Request) bool { return false }

// Status returns nothing.
func (None) Status() []Status { return nil }

// Close does nothing.
func (None) Close() {}

var (
	_ Source = (*ACME)(nil)
	_ Source = (*Files)(nil)
	_ Source = None{}
)

// Status is the state of one host name's certificate, for the readiness report
// and the metrics. It is meant for operators, not for visitors.
type Status struct {
	Name     string
	NotAfter time.Time // end of validity of the certificate in use; zero while there is none
	Problem  string    // what went wrong the last time; empty when all is well
	Retry    time.Time // when it is tried again; zero when nothing is planned, or when the renewal check decides
}

// newTLSConfig returns the TLS policy of both sources: TLS 1.2 and 1.3, and at
// TLS 1.2 only the suites that are AEAD and have forward secrecy. The CBC
// suites that Go would still offer are what scanners report (LUCKY13).
// TLS 1.3 has nothing but AEAD suites and is not configurable.
func newTLSConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// PHP's streams, and curl when told to, offer nothing but http/1.0.
		NextProtos:     append([]string{"h2", "http/1.1", "http/1.0"}, protocols...),
		GetCertificate: get,
	}
}
