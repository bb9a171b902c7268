package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Alerts of TLS (RFC 8446 section 6) with which servers say that they will not speak to us.
const (
	alertHandshakeFailure    = tls.AlertError(40)
	alertBadCertificate      = tls.AlertError(42)
	alertUnknownAuthority    = tls.AlertError(48)
	alertProtocolVersion     = tls.AlertError(70)
	alertCertificateRequired = tls.AlertError(116)
)

// connectHint returns what an operator can do about an error of connecting, or "".
func connectHint(err error) string {
	var known interface{ Hint() string } // of the resolver
	if errors.As(err, &known) && known.Hint() != "" {
		return known.Hint()
	}
	if hint := certificateHint(err); hint != "" {
		return hint
	}
	var (
		encryption *tlsError
		record     tls.RecordHeaderError
		lookup     *net.DNSError
	)
	text := err.Error()
	overTLS := errors.As(err, &encryption)
	closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
	switch {
	case alerted(err, alertProtocolVersion), overTLS && strings.Contains(text, "unsupported protocol version"):
		return "the server has no TLS 1.2 or newer, and older versions are not safe: update it, or allow it newer ones"
	case alerted(err, alertHandshakeFailure):
		return "the server accepts none of the ciphers offered: have it allow a key exchange with forward secrecy (ECDHE), not RSA alone; or it wants a client certificate: set client_cert_file"
	case alerted(err, alertCertificateRequired), alerted(err, alertBadCertificate), alerted(err, alertUnknownAuthority):
		return "the server wants a client certificate that it trusts: set client_cert_file and client_key_file"
	case overTLS && encryption.refused:
		return "the server offers no StartTLS; use ldaps://, or give the server a certificate"
	case overTLS && encryption.startTLS && (closed || errors.Is(err, errMalformed)):
		return "this port seems to want TLS at once: use ldaps://, without start_tls"
	case overTLS && (closed || errors.As(err, &record)):
		return "this port seems to speak no TLS; use ldap:// with start_tls: true"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "correct the host name in urls, or the domain in srv"
	case lookup != nil:
		return "check the DNS resolver of this machine"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the directory running, and is the port in urls right?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way from here to this address: check urls, the network and the firewall"
	case errors.Is(err, context.DeadlineExceeded):
		return "the directory does not answer in time; check its load, urls and the firewall"
	}
	return resultHint(err)
}

// alerted reports whether the server ended the connection with an alert. crypto/tls has no exported type for that outside of
// QUIC, but the same text.
func alerted(err error, alert tls.AlertError) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" && remote.Err.Error() == alert.Error()
}

// certificateHint explains why a server's certificate is not trusted.
func certificateHint(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &hostname):
		c := hostname.Certificate
		if len(c.DNSNames)+len(c.IPAddresses) == 0 {
			return "the directory's certificate names its host in the common name alone, which is not read any more: it needs a subjectAltName; have it issued anew"
		}
		return "write the host name in urls as it stands in the directory's certificate, or set tls_server_name to it"
	case errors.As(err, &unknown) && unknown.Cert != nil && weak(unknown.Cert.SignatureAlgorithm):
		return "the directory's certificate is signed with " + unknown.Cert.SignatureAlgorithm.String() + ", which is not safe: have it issued anew with SHA-256"
	case errors.As(err, &unknown) && unknown.Cert != nil && unknown.Cert.Issuer.String() == unknown.Cert.Subject.String():
		return "the directory's certificate is signed by itself: set ca_file to that certificate"
	case errors.As(err, &unknown):
		return "set ca_file to the certificate of the CA that signed the directory's certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert.NotBefore.After(time.Now()):
		return "set this machine's clock, if it is behind; otherwise have the directory's certificate issued anew"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the directory's certificate, and check both clocks"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the directory's certificate is not for servers: have it issued anew with the extended key usage serverAuth"
	case errors.As(err, &invalid) && invalid.Reason == x509.NotAuthorizedToSign:
		return "a certificate in the chain, or in ca_file, is not that of a CA: have it issued anew, or set ca_file to the CA's"
	case strings.Contains(err.Error(), "negative serial number"): // crypto/tls passes on the text alone
		return "the directory's certificate has a negative serial number, which RFC 5280 forbids: have it issued anew"
	case strings.Contains(err.Error(), "failed to parse certificate"):
		return "the directory's certificate is malformed: have it issued anew"
	}
	return ""
}

// weak reports whether certificates with such a signature are not accepted.
func weak(algorithm x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, algorithm)
}

// searchHint is resultHint for a search below base, which the server may not hold.
func searchHint(err error, base string) string {
	var e *ldap.Error
	var unconnected *ConnectError // has its own
	if !errors.As(err, &e) || errors.As(err, &unconnected) || e.ResultCode != ldap.LDAPResultNoSuchObject {
		return resultHint(err)
	}
	if e.MatchedDN != "" { // RFC 4511 section 4.1.9: the last entry on the way that is there
		return "check base_dn: of " + base + " there is " + e.MatchedDN + " and no more, or bind_dn may not read the rest"
	}
	if base == "" {
		return "check base_dn: the empty one is for a global catalogue, at port 3269 or 3268"
	}
	return "check base_dn: " + base + " is not there, or bind_dn may not read it"
}

// resultHint explains the server's own refusals.
func resultHint(err error) string {
	var e *ldap.Error
	var unconnected *ConnectError // has its own
	if !errors.As(err, &e) || errors.As(err, &unconnected) {
		return ""
	}
	switch e.ResultCode {
	case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		return "the directory wants encryption: use ldaps://, or set start_tls: true"
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultOperationsError:
		return "check that bind_dn may search below base_dn, and need not change its password"
	case ldap.LDAPResultReferral:
		return "this server does not hold base_dn; name one in urls that does"
	case ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		return "the server ends searches that take it too long: index the login and address attributes for equality"
	}
	return ""
}
