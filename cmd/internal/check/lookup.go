package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/idp/browserid"
)

const (
	// mostHops is how often all historic clients followed a delegation.
	mostHops = 5
	// mostDocument is what readers of documents take at most, in bytes.
	mostDocument = 64 << 10
	// largeDocument is a size that a proxy of the historic hub is known to have
	// refused, in bytes.
	largeDocument = 1756
)

// published is what a host answers where its document should be.
type published struct {
	authority string // host or host:port
	answer    answer
	document  browserid.Document // nil: none that can be read
}

// documentURL is where clients look: every lookup, delegated or not, carries
// the domain of the address.
func documentURL(authority, domain string) string {
	return "https://" + authority + browserid.DocumentPath + "?domain=" + url.QueryEscape(domain)
}

// lookUp reads the document of a host, and stops at the first rule that it
// breaks.
func (e *Examiner) lookUp(ctx context.Context, authority, domain string) (published, Finding) {
	p := published{authority: authority}
	var err error
	if p.answer, err = e.web.get(ctx, documentURL(authority, domain), nil); err != nil {
		return p, unreached(err, hostOf(authority))
	}
	for _, rule := range []func(*published) Finding{statusRule, typeRule, sizeRule, contentRule, keyRule} {
		if finding := rule(&p); finding.Status == Failed {
			return p, finding
		}
	}
	return p, passed("%s", p.kind())
}

// statusRule: exactly 200, and no redirect, not even to www.
func statusRule(p *published) Finding {
	status := p.answer.StatusCode
	location := p.answer.Header.Get("Location")
	switch {
	case status == http.StatusOK:
		return passed("200")
	case status >= 300 && status < 400 && location != "":
		return failed("answer the document itself at exactly this host: no client follows a redirect from there", "%d: a redirect to %s", status, location)
	case status == http.StatusNotFound:
		return failed("publish the document: without it "+hostOf(p.authority)+" is no identity provider", "404: there is no document")
	case status == http.StatusMisdirectedRequest:
		return failed("persona answers there and does not serve this name: list it under domains", "421: this host is unknown there")
	case status == http.StatusServiceUnavailable:
		return failed("the log of the program there says why", "503: %s", brief(p.answer.body))
	}
	return failed("answer with status 200: clients take nothing else", "%d instead of 200", status)
}

// typeRule: application/json as text, in lower case.
func typeRule(p *published) Finding {
	got := p.answer.Header.Get("Content-Type")
	const want = "application/json"
	switch {
	case strings.HasPrefix(got, want):
		return passed("%s", got)
	case strings.HasPrefix(strings.ToLower(got), want):
		return failed("write it in lower case: clients compare it as text", "%s", got)
	case got == "":
		return failed("send the header Content-Type: application/json", "there is no content type")
	}
	return failed("send the header Content-Type: application/json; a file without an ending needs it by configuration", "%s", got)
}

func sizeRule(p *published) Finding {
	size := len(p.answer.body)
	switch {
	case size > mostDocument:
		return failed("publish nothing but the members of a support document", "more than %d KiB", mostDocument>>10)
	case size >= largeDocument:
		return warned("publish an RSA key of 2048 bits and nothing that is not needed", "%d bytes; the historic hub is known to have refused %d", size, largeDocument)
	}
	return passed("%d bytes", size)
}

// contentRule reads the document.
func contentRule(p *published) Finding {
	document, err := browserid.ParseDocument(p.answer.body)
	if err != nil {
		return failed(documentCure(p.answer.body, err), "%v", err)
	}
	p.document = document
	return passed("%s", p.kind())
}

// documentCure is what to do about a document that cannot be read.
func documentCure(body []byte, err error) string {
	var members struct {
		Authority any `json:"authority"`
		Key       struct {
			Algorithm string `json:"algorithm"`
			Kty       string `json:"kty"`
		} `json:"public-key"`
	}
	if !json.Valid(body) {
		return "publish one JSON object: what stands there is none" + looksLike(body)
	}
	_ = json.Unmarshal(body, &members) // what does not fit stays empty
	if text, ok := members.Authority.(string); ok {
		name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(text, "https://"), "/"))
		if _, bad := browserid.ParseAuthority(name); bad == nil {
			return fmt.Sprintf("write {\"authority\":%q}: a host name in lower case, without scheme and path", name)
		}
		return "write {\"authority\":\"id.example.com\"}: a host name in lower case, without scheme and path"
	}
	switch {
	case errors.Is(err, browserid.ErrNotSupported), errors.Is(err, browserid.ErrKeySize),
		strings.HasPrefix(members.Key.Algorithm, "DS"), members.Key.Kty == "DSA":
		return keyCure
	case strings.Contains(err.Error(), "invalid path"):
		return "write paths such as /persona/authenticate: from the root, without host, query and escapes"
	case strings.Contains(err.Error(), "disabled"):
		return "write {\"disabled\":true}, or leave the member out"
	}
	return "a support document has the members public-key, authentication and provisioning"
}

func looksLike(body []byte) string {
	if strings.HasPrefix(strings.TrimSpace(string(body)), "<") {
		return ", but a page; the website answers where the document should be"
	}
	return ""
}

const keyCure = "publish an RSA key of exactly 2048 bits: no verifier takes another size, and DSA keys can be forged"

// keyRule looks at every key that certificates may be signed with.
func keyRule(p *published) Finding {
	support, ok := p.document.(browserid.Support)
	if !ok {
		return skipped("there is no key in this document")
	}
	for _, key := range support.SigningKeys() {
		if err := key.CheckDomainKey(); err != nil {
			return failed(keyCure, "%v", err)
		}
	}
	seen := fmt.Sprintf("RSA, %d bits, fingerprint %s", support.PublicKey.Size(), short(support.PublicKey.Fingerprint()))
	if more := len(support.SigningKeys()) - 1; more > 0 {
		seen += fmt.Sprintf(", and %d more", more)
	}
	return passed("%s", seen)
}

// kind tells what a document is.
func (p *published) kind() string {
	switch document := p.document.(type) {
	case browserid.Support:
		return fmt.Sprintf("identity provider; sign-in %s, provisioning %s", document.Authentication, document.Provisioning)
	case browserid.Delegation:
		return "delegates to " + document.Authority
	case browserid.Disabled:
		return "is no identity provider, by its own word (disabled)"
	}
	return "no document"
}

// follow goes along the delegations from a document that was read. It returns
// the authorities on the way, the first one included, and the last document.
func (e *Examiner) follow(ctx context.Context, domain string, first published) (chain []string, last published, finding Finding) {
	chain, last = []string{first.authority}, first
	for {
		delegation, more := last.document.(browserid.Delegation)
		if !more {
			break
		}
		next := delegation.Authority
		switch {
		case slices.Contains(chain, next):
			return chain, last, failed("let one of them publish a document of its own", "the delegation goes in circles: %s", arrows(append(chain, next)))
		case len(chain) > mostHops:
			return chain, last, failed("name "+next+" at once: clients follow at most 5 delegations", "too many delegations: %s", arrows(append(chain, next)))
		}
		var found Finding
		if last, found = e.lookUp(ctx, next, domain); found.Status == Failed {
			return append(chain, next), last, failed("at "+next+": "+found.Cure, "%s: %s", arrows(append(chain, next)), found.Seen)
		}
		chain = append(chain, next)
	}
	if _, disabled := last.document.(browserid.Disabled); disabled && len(chain) > 1 {
		return chain, last, failed("delegate to a host that is an identity provider", "%s, which is none, by its own word (disabled)", arrows(chain))
	}
	if _, disabled := last.document.(browserid.Disabled); disabled {
		return chain, last, passed("nobody signs for %s", first.authority)
	}
	if len(chain) == 1 {
		return chain, last, passed("%s is its own authority", first.authority)
	}
	return chain, last, passed("%s", arrows(chain))
}

func arrows(chain []string) string { return strings.Join(chain, " → ") }

// hostOf returns the host of host or host:port.
func hostOf(authority string) string {
	host, _, _ := strings.Cut(authority, ":")
	return host
}

// short cuts a fingerprint to what people compare.
func short(fingerprint string) string {
	const most = 16
	if len(fingerprint) > most {
		return fingerprint[:most] + "…"
	}
	return fingerprint
}

// brief cuts a foreign text down to what fits into a line.
func brief(body []byte) string {
	const most = 160
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "\uFFFD")), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return text
}
