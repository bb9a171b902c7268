package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/report"
)

// checkCertificate shakes hands with every address that answers, and verifies
// the chain as an outsider does: with nothing but what the server sends.
func (s *site) checkCertificate(ctx context.Context) report.Finding {
	if !s.answers {
		return report.Skip("nothing answers")
	}
	var f report.Faults
	seen, hint := "", "renew it"
	if s.usesACME() {
		hint = "it should have been renewed by now: the log says why it was not"
	}
	for _, target := range s.targets {
		chain, err := s.handshake(ctx, target)
		if err != nil {
			f.Fail(certificateHint(err, chain, s.name), "%s: %s", target, certificateFault(err, chain, s.Now()))
			continue
		}
		s.secure = true
		seen = fmt.Sprintf("by %s, valid until %s (%s)", issuer(chain[0]), chain[0].NotAfter.UTC().Format(time.DateOnly), inDays(chain[0].NotAfter.Sub(s.Now())))
		if left, whole := chain[0].NotAfter.Sub(s.Now()), chain[0].NotAfter.Sub(chain[0].NotBefore); left < whole/6 {
			f.Warn(hint, "it ends in %s", inDays(left))
		}
	}
	return f.Finding("%s", seen)
}

// handshake returns the chain that a server sends, verified as the error says.
func (s *site) handshake(ctx context.Context, target string) ([]*x509.Certificate, error) {
	connection, err := s.dialer.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	// It is verified below: a refused handshake would not show the chain.
	secured := tls.Client(connection, &tls.Config{ServerName: s.name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	chain := secured.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("the server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: s.name, Roots: s.Roots, Intermediates: between, CurrentTime: s.Now()})
	return chain, err
}

func certificateFault(err error, chain []*x509.Certificate, now time.Time) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && len(chain) > 0 {
		if now.Before(chain[0].NotBefore) {
			return "valid only from " + chain[0].NotBefore.UTC().Format(time.RFC3339)
		}
		return "expired on " + invalid.Cert.NotAfter.UTC().Format(time.RFC3339)
	}
	if len(chain) > 0 {
		return strings.TrimPrefix(err.Error(), "x509: ") + " (issued by " + issuer(chain[0]) + ")"
	}
	return unreached(err, "").Message
}

func certificateHint(err error, chain []*x509.Certificate, name string) string {
	var (
		unknown x509.UnknownAuthorityError
		other   x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &other):
		return "serve a certificate for " + name + ": is it listed under domains, and does the certificate's file name it?"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it; when it is not expired, set this machine's clock"
	case errors.As(err, &unknown) && len(chain) > 0 && strings.Contains(issuer(chain[0]), "(STAGING)"):
		return "remove tls.acme.directory: certificates of the staging server are for trying out"
	case errors.As(err, &unknown) && len(chain) == 1 && chain[0].Issuer.String() != chain[0].Subject.String():
		return "send the intermediate certificate as well: the certificate file has the leaf first, then the chain. For an internal authority: -ca-file"
	case errors.As(err, &unknown):
		return "use a certificate of an authority that browsers trust. For an internal authority: -ca-file"
	case len(chain) == 0:
		return "no certificate for " + name + " yet? The program's log says why; otherwise look at what listens there"
	}
	return "serve a certificate that browsers accept"
}

func issuer(c *x509.Certificate) string {
	if len(c.Issuer.Organization) > 0 && c.Issuer.CommonName != "" {
		return c.Issuer.Organization[0] + " " + c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func inDays(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
