package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"persona-sidecar/cmd/internal/config"
)

const (
	letsEncrypt         = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptIdentity = "letsencrypt.org"
)

// acmeServer is what the ACME server says of itself.
type acmeServer struct {
	identities []string // by which CAA records name it
}

// acmeGroup looks at the ACME server.
func (e *Examiner) acmeGroup() Group {
	return Group{Subject: "certificate authority", Steps: []Step{{Name: "ACME directory", Look: e.lookAtACME}}}
}

func (e *Examiner) acmeDirectory() string {
	if e.Config.TLS.ACME.Directory == "" {
		e.acme.identities = []string{letsEncryptIdentity}
		return letsEncrypt
	}
	return e.Config.TLS.ACME.Directory
}

func (e *Examiner) lookAtACME(ctx context.Context) Finding {
	directory := e.acmeDirectory()
	at, err := url.Parse(directory)
	if err != nil {
		return failed("write its URL into tls.acme.directory", "%v", err)
	}
	client := e.web.client
	if roots := e.Config.TLS.ACME.Roots; roots != nil {
		client = e.web.clientFor(roots)
	}
	got, err := e.web.ask(ctx, client, http.MethodGet, directory, nil, nil)
	if err != nil {
		finding := unreached(err, at.Hostname())
		if finding.Cure == `see the step "certificate"` {
			finding.Cure = "name the roots to trust for it in tls.acme.ca_file"
		}
		return finding
	}
	return e.judgeACME(got, directory)
}

// judgeACME reads a directory object, RFC 8555 section 7.1.1.
func (e *Examiner) judgeACME(got answer, directory string) Finding {
	var object struct {
		NewNonce, NewAccount, NewOrder string
		Meta                           struct {
			TermsOfService          string
			CAAIdentities           []string
			ExternalAccountRequired bool
		}
	}
	if got.StatusCode != http.StatusOK {
		return failed("is tls.acme.directory right? Try again later when it is", "%s answers %d: %s", directory, got.StatusCode, brief(got.body))
	}
	if err := json.Unmarshal(got.body, &object); err != nil || object.NewNonce == "" || object.NewAccount == "" || object.NewOrder == "" {
		return failed("correct tls.acme.directory: it must be the URL of the directory itself", "%s is no ACME directory", directory)
	}
	if len(object.Meta.CAAIdentities) > 0 {
		e.acme.identities = object.Meta.CAAIdentities
	}
	if object.Meta.ExternalAccountRequired && e.Config.TLS.ACME.EABKeyID == "" {
		return failed("get a key for external account binding there, and set tls.acme.eab_key_id and eab_mac_key_file", "%s serves only accounts that are bound to one of its own", directory)
	}
	seen := directory
	if terms := object.Meta.TermsOfService; terms != "" {
		seen = fmt.Sprintf("%s; its terms: %s", directory, terms)
	}
	return passed("%s", seen)
}

func (e *Examiner) usesACME() bool { return e.Config != nil && e.Config.TLS.Mode == config.ModeACME }
