package servers

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/go-ldap/ldap/v3"
)

// connectHint returns what an operator can do about an error of connecting, or
// "". It reads the text where go-ldap keeps no more of the cause.
func connectHint(err error) string {
	text := err.Error()
	var hostname x509.HostnameError
	switch {
	case strings.Contains(text, "unknown authority"):
		return "set ca_file to the certificate of the CA that signed the directory's certificate"
	case errors.As(err, &hostname), strings.Contains(text, "certificate is valid for"), strings.Contains(text, "doesn't contain any IP SANs"):
		return "write the host name in urls as it stands in the directory's certificate"
	case strings.Contains(text, "certificate has expired") && strings.Contains(text, " is before "):
		return "set this machine's clock, if it is behind; otherwise have the directory's certificate issued anew"
	case strings.Contains(text, "certificate has expired"):
		return "renew the directory's certificate, and check both clocks"
	case strings.HasPrefix(text, "TLS: ") && (errors.Is(err, io.EOF) || strings.Contains(text, "does not look like a TLS handshake")):
		return "this port seems to speak no TLS; use ldap:// with start_tls: true"
	case strings.HasPrefix(text, "StartTLS: ") && strings.Contains(text, "EOF"):
		return "this port seems to want TLS at once: use ldaps://, without start_tls"
	case strings.HasPrefix(text, "StartTLS: ") && answered(err):
		return "the server offers no StartTLS; use ldaps://, or give the server a certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the directory running, and is the port in urls right?"
	case errors.Is(err, context.DeadlineExceeded):
		return "the directory does not answer in time; check its load, urls and the firewall"
	}
	return resultHint(err)
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
		return "index the login and address attributes for equality"
	}
	return ""
}
