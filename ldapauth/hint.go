package ldapauth

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/go-ldap/ldap/v3"
)

// hint says what an operator can do about an error, as " (hint: …)", or
// nothing. It reads the text where go-ldap keeps no more of the cause.
func hint(err error) string {
	text := err.Error()
	var hostname x509.HostnameError
	switch {
	case strings.Contains(text, "unknown authority"):
		return " (hint: set ca_file to the certificate of the CA that signed the directory's certificate)"
	case errors.As(err, &hostname), strings.Contains(text, "certificate is valid for"), strings.Contains(text, "doesn't contain any IP SANs"):
		return " (hint: write the host name in urls as it stands in the directory's certificate)"
	case strings.Contains(text, "certificate has expired"):
		return " (hint: renew the directory's certificate, and check both clocks)"
	case strings.HasPrefix(text, "TLS: ") && (errors.Is(err, io.EOF) || strings.Contains(text, "does not look like a TLS handshake")):
		return " (hint: this port seems to speak no TLS; use ldap:// with start_tls: true)"
	case strings.HasPrefix(text, "StartTLS: ") && answered(err):
		return " (hint: the server offers no StartTLS; use ldaps://, or give the server a certificate)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return " (hint: is the directory running, and is the port in urls right?)"
	case errors.Is(err, context.DeadlineExceeded):
		return " (hint: the directory does not answer in time; check its load, urls and the firewall)"
	}
	return resultHint(err)
}

// serviceHint is hint for the bind of the service account.
func serviceHint(err error) string {
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return " (hint: check bind_dn and bind_password, and that the account is not locked)"
	}
	return hint(err)
}

// resultHint explains the server's own refusals.
func resultHint(err error) string {
	var e *ldap.Error
	var unconnected *connectError // has its own
	if !errors.As(err, &e) || errors.As(err, &unconnected) {
		return ""
	}
	switch e.ResultCode {
	case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		return " (hint: the directory wants encryption: use ldaps://, or set start_tls: true)"
	case ldap.LDAPResultNoSuchObject:
		return " (hint: check base_dn, and that bind_dn may read it)"
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultOperationsError:
		return " (hint: check that bind_dn may search below base_dn, and need not change its password)"
	case ldap.LDAPResultReferral:
		return " (hint: this server does not hold base_dn; name one in urls that does)"
	case ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		return " (hint: index the login and address attributes for equality)"
	}
	return ""
}
