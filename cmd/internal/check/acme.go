package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/visitor"
)

const (
	letsEncrypt         = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptIdentity = "letsencrypt.org"
)

// acmeGroup checks the ACME server.
func (c *Checker) acmeGroup() report.Group {
	return report.Group{Subject: "certificate authority", Steps: []report.Step{{Name: "ACME directory", Run: c.checkACME}}}
}

func (c *Checker) checkACME(ctx context.Context) report.Finding {
	directory := c.Config.TLS.ACME.Directory
	if directory == "" {
		directory, c.identities = letsEncrypt, []string{letsEncryptIdentity}
	}
	at, err := url.Parse(directory)
	if err != nil {
		return report.Fail("write its URL into tls.acme.directory", "%v", err)
	}
	client := c.client
	if roots := c.Config.TLS.ACME.Roots; roots != nil {
		client = c.clientFor(roots)
	}
	got, err := client.Get(ctx, directory, nil)
	if err != nil {
		fault := visitor.Explain(err, at.Hostname())
		hint := "is tls.acme.directory right, and may this machine connect to " + at.Host + "? Otherwise that server is down: try again later"
		switch fault.Kind {
		case visitor.NoName:
			hint = "correct the host in tls.acme.directory"
		case visitor.NoDNS:
			hint = fault.Hint()
		case visitor.Untrusted:
			hint = network.UntrustedHint(err, c.Now(), at.Hostname(), "tls.acme.directory", "name the roots to trust for it in tls.acme.ca_file")
		}
		return report.Fail(hint, "%v", fault)
	}
	var object struct { // RFC 8555 section 7.1.1
		NewNonce, NewAccount, NewOrder string
		Meta                           struct {
			TermsOfService          string
			CAAIdentities           []string
			ExternalAccountRequired bool
		}
	}
	if got.StatusCode != http.StatusOK {
		return report.Fail("is tls.acme.directory right? Try again later when it is", "%s answers %d: %s", directory, got.StatusCode, visitor.Brief(got.Body))
	}
	if err := json.Unmarshal(got.Body, &object); err != nil || object.NewNonce == "" || object.NewAccount == "" || object.NewOrder == "" {
		return report.Fail("correct tls.acme.directory: it must be the URL of the directory itself", "%s is no ACME directory", directory)
	}
	if len(object.Meta.CAAIdentities) > 0 {
		c.identities = object.Meta.CAAIdentities
	}
	if object.Meta.ExternalAccountRequired && c.Config.TLS.ACME.EABKeyID == "" {
		return report.Fail("get a key for external account binding there, and set tls.acme.eab_key_id and eab_mac_key_file", "%s serves only accounts that are bound to one of its own", directory)
	}
	seen := directory
	if terms := object.Meta.TermsOfService; terms != "" {
		seen = fmt.Sprintf("%s; its terms: %s", directory, terms)
	}
	return report.Pass("%s", seen)
}
