package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/verifier"
)

const (
	// maxDocument is what readers of documents take at most, in bytes.
	maxDocument = 64 << 10
	// largeDocument is a size that a proxy of the historic hub is known to have
	// refused, in bytes.
	largeDocument = 1756
)

// published is what a host answers where its document should be.
type published struct {
	verifier.Lookup
	// document is what was read, weak keys included; nil: nothing that can be.
	document browserid.Document
}

// documentURL is where clients look: every lookup, delegated or not, carries
// the domain of the address.
func documentURL(authority, domain string) string {
	return "https://" + authority + browserid.DocumentPath + "?domain=" + url.QueryEscape(domain)
}

// documentRules are what a document is refused for, in the order in which its
// readers look.
var documentRules = []func(*published) Finding{statusRule, typeRule, sizeRule, contentRule, keyRule}

// lookUp finds the authority of a domain as clients do, from an authority that
// stands for it. It returns what each server on the way answered; the error is
// why there is no authority.
func (c *Checker) lookUp(ctx context.Context, authority, domain string) ([]published, error) {
	_, steps, err := c.network.client.FindAuthority(ctx, authority, domain)
	var way []published
	for _, step := range steps {
		way = append(way, published{Lookup: step})
	}
	return way, err
}

// judge applies the rules to an answer and returns the first that it breaks.
func (p *published) judge() Finding {
	if p.Response == nil {
		return unreached(p.Err, hostOf(p.Name))
	}
	for _, rule := range documentRules {
		if finding := rule(p); finding.Status == Failed {
			return finding
		}
	}
	return passed("%s", p.kind())
}

// followed is where a look-up led.
type followed struct {
	chain []string  // the authorities on the way, the first one included
	last  published // the document at the end
	begun bool      // the first of them has a document as it should be
}

// provider is the authority at the end.
func (f followed) provider() string { return f.chain[len(f.chain)-1] }

func (f followed) disabled() bool {
	_, disabled := f.last.document.(browserid.Disabled)
	return disabled
}

// follow judges the way of a look-up, which ended with err; of the first skip
// documents the faults are known.
func follow(way []published, err error, skip int) (f followed, finding Finding) {
	if len(way) == 0 {
		return f, failure("", err, "write the domain as example.com")
	}
	for i := range way {
		f.chain = append(f.chain, way[i].Name)
		if i >= skip {
			if found := way[i].judge(); found.Status == Failed && i == 0 {
				return f, found
			} else if found.Status == Failed {
				return f, failed("at "+way[i].Name+": "+found.Hint, "%s: %s", arrows(f.chain), found)
			}
		}
		f.begun = true
	}
	f.last = way[len(way)-1]
	var stopped *verifier.LookupError
	if delegation, more := f.last.document.(browserid.Delegation); more && errors.As(err, &stopped) {
		longer := arrows(append(f.chain, delegation.Authority))
		if stopped.Kind == verifier.Circular {
			return f, failed("let one of them publish a document of its own", "the delegation goes in circles: %s", longer)
		}
		return f, failed(fmt.Sprintf("name %s at once: clients follow at most %d delegations", delegation.Authority, verifier.MostHops), "too many delegations: %s", longer)
	}
	switch {
	case f.disabled() && len(way) > 1:
		return f, failed("delegate to a host that is an identity provider", "%s, which is none, by its own word (disabled)", arrows(f.chain))
	case f.disabled():
		return f, passed("no authority signs for %s", f.chain[0])
	case f.last.Err != nil && len(way) > skip:
		return f, failure(arrows(f.chain), f.last.Err, "look at the server of "+f.provider())
	case len(way) == 1:
		return f, passed("%s is its own authority", f.chain[0])
	}
	return f, passed("%s", arrows(f.chain))
}

// statusRule: exactly 200, and no redirect, not even to www.
func statusRule(p *published) Finding {
	status := p.Response.StatusCode
	location := p.Response.Header.Get("Location")
	switch {
	case status == http.StatusOK:
		return passed("200")
	case status >= 300 && status < 400 && location != "":
		return failed("answer the document itself at exactly this host: no client follows a redirect from there", "%d: a redirect to %s", status, location)
	case status == http.StatusNotFound:
		return failed("publish the document: without it "+hostOf(p.Name)+" is no identity provider", "404: there is no document")
	case status == http.StatusMisdirectedRequest:
		return failed("persona answers there and does not serve this name: list it under domains", "421: this host is unknown there")
	case status == http.StatusServiceUnavailable:
		return failed("the log of the program there says why", "503: %s", visitor.Brief(p.Body))
	}
	return failed("answer with status 200: clients take nothing else", "%d instead of 200", status)
}

// typeRule: application/json as text, in lower case.
func typeRule(p *published) Finding {
	got := p.Response.Header.Get("Content-Type")
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
	size := len(p.Body)
	switch {
	case size > maxDocument:
		return failed("publish nothing but the members of a support document", "more than %d KiB", maxDocument>>10)
	case size >= largeDocument:
		return warned("publish an RSA key of 2048 bits and nothing that is not needed", "%d bytes; the historic hub is known to have refused %d", size, largeDocument)
	}
	return passed("%d bytes", size)
}

// cacheRule: the document is the same for all clients, so it may be kept for a
// while, and carries no cookie.
func cacheRule(p *published) Finding {
	var f faults
	header := p.Response.Header
	control := strings.ToLower(header.Get("Cache-Control"))
	if len(header.Values("Set-Cookie")) > 0 {
		f.warn("send no cookie with the document", "it sets a cookie")
	}
	switch {
	case strings.Contains(control, "no-store"), strings.Contains(control, "private"):
		f.warn("allow caching, as with Cache-Control: public, max-age=3600", "caches may not keep it: %s", control)
	case control == "" && header.Get("Expires") == "":
		f.warn("say how long it may be kept, as with Cache-Control: public, max-age=3600", "it does not say how long it may be kept")
	}
	return f.finding("%s", control)
}

// contentRule reads the document.
func contentRule(p *published) Finding {
	document, err := browserid.ParseDocument(p.Body)
	if err != nil {
		return failed(documentHint(p.Body, err), "%v", err)
	}
	p.document = document
	return passed("%s", p.kind())
}

const keyHint = "publish an RSA key of exactly 2048 bits: no verifier takes another size, and DSA keys can be forged"

// documentHint is what to do about a document that cannot be read.
func documentHint(body []byte, err error) string {
	var members struct {
		Authority any `json:"authority"`
		Key       struct {
			Algorithm string `json:"algorithm"`
			Kty       string `json:"kty"`
		} `json:"public-key"`
	}
	if !json.Valid(body) {
		hint := "publish one JSON object: what stands there is none"
		if strings.HasPrefix(strings.TrimSpace(string(body)), "<") {
			hint += ", but a page; the website answers where the document should be"
		}
		return hint
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
		return keyHint
	case strings.Contains(err.Error(), "invalid path"):
		return "write paths such as /persona/authenticate: from the root, without host, query and escapes"
	case strings.Contains(err.Error(), "disabled"):
		return "write {\"disabled\":true}, or leave the member out"
	}
	return "a support document has the members public-key, authentication and provisioning"
}

// keyRule checks every key that certificates may be signed with.
func keyRule(p *published) Finding {
	support, ok := p.document.(browserid.Support)
	if !ok {
		return skipped("there is no key in this document")
	}
	for _, key := range support.SigningKeys() {
		if err := key.CheckDomainKey(); err != nil {
			return failed(keyHint, "%v", err)
		}
	}
	seen := fmt.Sprintf("RSA, %d bits, fingerprint %s", support.PublicKey.Size(), short(support.PublicKey.Fingerprint()))
	if more := len(support.SigningKeys()) - 1; more > 0 {
		seen += fmt.Sprintf(", and %d more", more)
	}
	return passed("%s", seen)
}

// kind is what a document makes of its host.
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

// roleRule: the document of a host of ours is the one that the configuration
// asks for.
func roleRule(p *published, host config.Host) Finding {
	var same bool
	switch document := p.document.(type) {
	case browserid.Support:
		same = host.Role == config.RoleIdentity
	case browserid.Delegation:
		same = host.Role == config.RoleDelegating && document.Authority == host.Authority
	case browserid.Disabled:
		same = host.Role == config.RoleDisabled
	}
	role := "website only"
	switch host.Role {
	case config.RoleIdentity:
		role = "identity host, signs for " + strings.Join(host.MailDomains, ", ")
	case config.RoleDelegating:
		role = "delegates to " + host.Authority
	case config.RoleDisabled:
		role = "disabled"
	case config.RolePlain:
	}
	if !same {
		return failed("is another program, or this one with another configuration, answering there? Restart the program after changes",
			"the configuration says %s, the document %s", role, p.kind())
	}
	return passed("%s", role)
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
