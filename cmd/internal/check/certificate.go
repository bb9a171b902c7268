package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/visitor"
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
		chain, err := s.dialer.Chain(ctx, target, s.name, s.Roots, s.Now())
		if err != nil {
			message, hint := s.judgeChain(err, chain)
			f.Fail(hint, "%s: %s", target, message)
			continue
		}
		s.secure = true
		seen = fmt.Sprintf("by %s, valid until %s (%s)", network.Issuer(chain[0]), chain[0].NotAfter.UTC().Format(time.DateOnly), report.InDays(chain[0].NotAfter.Sub(s.Now())))
		if left, whole := chain[0].NotAfter.Sub(s.Now()), chain[0].NotAfter.Sub(chain[0].NotBefore); left < whole/6 {
			f.Warn(hint, "it ends in %s", report.InDays(left))
		}
	}
	return f.Finding("%s", seen)
}

// judgeChain returns what is wrong with the chain of our own or a foreign site, and
// what to do about it.
func (s *site) judgeChain(err error, chain []*x509.Certificate) (message, hint string) {
	if len(chain) == 0 {
		return visitor.Explain(err, s.name).Error(), "no certificate for " + s.name + " yet? The program's log says why; otherwise look at what listens there"
	}
	if refused, early := network.OutOfTime(err, s.Now()); refused != nil {
		which, hint := "", "renew it; when it is not expired, set this machine's clock"
		if !refused.Equal(chain[0]) {
			which = "the certificate of " + refused.Subject.String() + " in the chain: "
			hint = "send the authority's present intermediate certificate: the certificate file has the leaf first, then the chain"
		}
		if early {
			return which + "valid only from " + refused.NotBefore.UTC().Format(time.RFC3339), network.EarlyHint
		}
		return which + "expired on " + refused.NotAfter.UTC().Format(time.RFC3339), hint
	}
	var (
		unknown x509.UnknownAuthorityError
		other   x509.HostnameError
	)
	message = strings.TrimPrefix(err.Error(), "x509: ") + " (issued by " + network.Issuer(chain[0]) + ")"
	switch {
	case errors.As(err, &other):
		return message, "serve a certificate for " + s.name + ": is it listed under domains, and does the certificate's file name it?"
	case errors.As(err, &unknown) && strings.Contains(network.Issuer(chain[0]), "(STAGING)"):
		return message, "remove tls.acme.directory: certificates of the staging server are for trying out"
	case errors.As(err, &unknown) && len(chain) == 1 && chain[0].Issuer.String() != chain[0].Subject.String():
		return message, "send the intermediate certificate as well: the certificate file has the leaf first, then the chain. For an internal authority: -ca-file"
	case errors.As(err, &unknown):
		return message, "use a certificate of an authority that browsers trust. For an internal authority: -ca-file"
	}
	return message, "serve a certificate that browsers accept"
}
