// Package document checks what hosts publish at /.well-known/browserid, by the
// rules of all its readers, and follows delegations.
package document

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
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

// Published is what a host answers where its document should be.
type Published struct {
	verifier.Lookup
	// Document is what [Content] read, weak keys included; nil: nothing that can be.
	Document browserid.Document
}

// Place is where a domain publishes its document.
func Place(domain string) string { return "https://" + domain + browserid.DocumentPath }

// rules are what a document is refused for, in the order in which its
// readers look.
var rules = []func(*Published) report.Finding{Status, ContentType, Size, Content, Key}

// LookUp finds the authority of a domain as clients do, from an authority that
// stands for it. It returns what each server on the way answered, and how long that
// took by the clock now; the error is why there is no authority.
func LookUp(ctx context.Context, client visitor.Client, now func() time.Time, authority, domain string) (way []Published, took time.Duration, err error) {
	began := now()
	_, steps, err := client.FindAuthority(ctx, authority, domain)
	for _, step := range steps {
		way = append(way, Published{Lookup: step})
	}
	return way, now().Sub(began), err
}

// Speed judges how long a look-up took: clients give up after [verifier.LookupTime].
func Speed(took time.Duration) report.Finding {
	hint := fmt.Sprintf("make the servers on the way answer sooner: hubs and verifiers give up after %s", verifier.LookupTime)
	rounded := took.Round(100 * time.Millisecond)
	switch {
	case took > verifier.LookupTime:
		return report.Warn(hint, "finding the authority took %s: too long, so that sign-ins fail", rounded)
	case took > verifier.LookupTime/2:
		return report.Warn(hint, "finding the authority took %s", rounded)
	}
	return report.Pass("finding the authority took %s", rounded)
}

// Fault is why no answer came, or not all of it; nil: it came.
func (p *Published) Fault() *visitor.Fault {
	if fault, ok := errors.AsType[*visitor.Fault](p.Err); ok {
		return fault
	}
	if p.Response == nil {
		return visitor.Explain(p.Err, network.HostOf(p.Name))
	}
	return nil
}

// judge applies the rules to an answer and returns the first that it breaks.
func (p *Published) judge() report.Finding {
	if fault := p.Fault(); fault != nil {
		return report.Error("", fault, "")
	}
	for _, rule := range rules {
		if finding := rule(p); finding.Status == report.Failed {
			return finding
		}
	}
	return report.Pass("%s", p.kind())
}

// Followed is where a look-up led.
type Followed struct {
	Chain []string  // the authorities on the way, the first one included
	Last  Published // the document at the end
	Begun bool      // the first authority has a document without faults
}

// Provider is the authority at the end.
func (f Followed) Provider() string { return f.Chain[len(f.Chain)-1] }

// Disabled reports whether the authority at the end says that it is none.
func (f Followed) Disabled() bool {
	_, disabled := f.Last.Document.(browserid.Disabled)
	return disabled
}

// Follow judges the way of a look-up, which ended with err; of the first skip
// documents the faults are known.
func Follow(way []Published, err error, skip int) (f Followed, finding report.Finding) {
	if len(way) == 0 {
		return f, report.Error("", err, "write the domain as example.com")
	}
	for i := range way {
		f.Chain = append(f.Chain, way[i].Name)
		if i >= skip {
			if found := way[i].judge(); found.Status == report.Failed && i == 0 {
				return f, found
			} else if found.Status == report.Failed {
				return f, report.Fail("at "+way[i].Name+": "+found.Hint, "%s: %s", Arrows(f.Chain), found)
			}
		}
		f.Begun = true
	}
	f.Last = way[len(way)-1]
	var stopped *verifier.LookupError
	if delegation, more := f.Last.Document.(browserid.Delegation); more && errors.As(err, &stopped) {
		longer := Arrows(append(f.Chain, delegation.Authority))
		if stopped.Kind == verifier.Circular {
			return f, report.Fail("let one of them publish a document of its own", "the delegation goes in circles: %s", longer)
		}
		return f, report.Fail(fmt.Sprintf("name %s at once: clients follow at most %d delegations", delegation.Authority, verifier.MostHops), "too many delegations: %s", longer)
	}
	switch {
	case f.Disabled() && len(way) > 1:
		return f, report.Fail("delegate to a host that is an identity provider", "%s, which is none: its document says disabled", Arrows(f.Chain))
	case f.Disabled():
		return f, report.Pass("no authority signs for %s", f.Chain[0])
	case f.Last.Err != nil && len(way) > skip:
		return f, report.Error(Arrows(f.Chain), f.Last.Err, "look at the server of "+f.Provider())
	case len(way) == 1:
		return f, report.Pass("%s is its own authority", f.Chain[0])
	}
	for _, rule := range rules { // the first document has steps of its own
		if found := rule(&f.Last); found.Status == report.Warning {
			return f, report.Warn("at "+f.Provider()+": "+found.Hint, "%s: %s", Arrows(f.Chain), found)
		}
	}
	return f, report.Pass("%s", Arrows(f.Chain))
}

// ProxyHint is what to do when the program takes HTTPS for plain HTTP.
const ProxyHint = "what ends TLS in front must tell the program so, with X-Forwarded-Proto: https, and the program must trust it (tls.mode off, trusted_proxies)"

// Status checks for exactly 200, and no redirect, not even to www.
func Status(p *Published) report.Finding {
	status := p.Response.StatusCode
	location := p.Response.Header.Get("Location")
	switch {
	case status == http.StatusOK:
		return report.Pass("200")
	case status >= 300 && status < 400 && visitor.ToItself(p.Response):
		return report.Fail(ProxyHint, "%d: a redirect to the very URL that was asked for", status)
	case status >= 300 && status < 400 && location != "":
		return report.Fail("answer the document itself at exactly this host: no client follows a redirect from there", "%d: a redirect to %s", status, location)
	case status == http.StatusNotFound:
		return report.Fail("publish the document: without it "+network.HostOf(p.Name)+" is no identity provider", "404: there is no document")
	case status == http.StatusMisdirectedRequest:
		return report.Fail("persona answers there and does not serve this name: list it under domains", "421: this host is unknown there")
	case status == http.StatusForbidden:
		return report.Fail("let all clients read it. Usually a rule against names that begin with a dot denies it: beside nginx's location ~ /\\. write location ^~ /.well-known/ {}, and exempt it from Apache's <DirectoryMatch \"/\\.\">, RedirectMatch or RewriteRule", "403: the web server denies it")
	case status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return report.Fail("let all clients read it: exempt "+browserid.DocumentPath+" from the password (nginx: auth_basic off in a location = "+browserid.DocumentPath+"; Apache: Require all granted in a <Location>)", "%d: the web server asks for a password", status)
	case status >= http.StatusInternalServerError:
		return report.Fail("the log of the program there says why", "%d: %s", status, visitor.Brief(p.Body))
	}
	return report.Fail("answer with status 200: clients take nothing else", "%d instead of 200", status)
}

// ContentType checks for application/json, in lower case.
func ContentType(p *Published) report.Finding {
	got := p.Response.Header.Get("Content-Type")
	const want = "application/json"
	switch {
	case strings.HasPrefix(got, want):
		return report.Pass("%s", got)
	case strings.HasPrefix(strings.ToLower(got), want):
		return report.Fail("write it in lower case: clients compare it as text", "%s", got)
	case got == "":
		return report.Fail("send the header Content-Type: application/json", "there is no content type")
	}
	return report.Fail("send the header Content-Type: application/json; a file without an ending needs it by configuration", "%s", got)
}

// Size checks the length: readers refuse large documents.
func Size(p *Published) report.Finding {
	size := len(p.Body)
	switch {
	case size > maxDocument:
		return report.Fail("publish nothing but the members of a support document", "more than %d KiB", maxDocument>>10)
	case size >= largeDocument:
		return report.Warn("publish an RSA key of 2048 bits and nothing that is not needed", "%d bytes; the historic hub is known to have refused %d", size, largeDocument)
	}
	return report.Pass("%d bytes", size)
}

// Caching checks the headers of caches: the document is the same for all
// clients, so it may be kept for a while, and carries no cookie.
func Caching(p *Published) report.Finding {
	var f report.Faults
	header := p.Response.Header
	control := strings.ToLower(header.Get("Cache-Control"))
	if len(header.Values("Set-Cookie")) > 0 {
		f.Warn("send no cookie with the document", "it sets a cookie")
	}
	switch {
	case strings.Contains(control, "no-store"), strings.Contains(control, "private"):
		f.Warn("allow caching, as with Cache-Control: public, max-age=3600", "caches may not keep it: %s", control)
	case control == "" && header.Get("Expires") == "":
		f.Warn("say how long it may be kept, as with Cache-Control: public, max-age=3600", "it does not say how long it may be kept")
	}
	return f.Finding("%s", control)
}

// Content reads the document.
func Content(p *Published) report.Finding {
	document, err := browserid.ParseDocument(p.Body)
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} { // of UTF-8 and UTF-16
		if err != nil && bytes.HasPrefix(p.Body, []byte(mark)) {
			return report.Fail("save it as UTF-8 without a byte order mark: an editor's \"UTF-8\", not \"UTF-8 with BOM\" or \"Unicode\"", "it begins with a byte order mark (%x), which is no JSON", mark)
		}
	}
	if err != nil {
		return report.Fail(contentHint(p.Body, err), "%v", err)
	}
	p.Document = document
	return report.Pass("%s", p.kind())
}

const keyHint = "publish an RSA key of exactly 2048 bits: no verifier takes another size, and DSA keys can be forged"

// contentHint is what to do about a document that cannot be read.
func contentHint(body []byte, err error) string {
	var members struct {
		Authority any `json:"authority"`
		Key       struct {
			Algorithm string `json:"algorithm"`
			Kty       string `json:"kty"`
		} `json:"public-key"`
	}
	if !json.Valid(body) {
		hint := "publish one JSON object: this is none"
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

// Key checks every key that certificates may be signed with.
func Key(p *Published) report.Finding {
	support, ok := p.Document.(browserid.Support)
	if !ok {
		return report.Skip("there is no key in this document")
	}
	for _, key := range support.SigningKeys() {
		if err := key.CheckDomainKey(); err != nil {
			return report.Fail(keyHint, "%v", err)
		}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.Body, &members); err == nil && members["public-key"] == nil {
		return report.Warn("publish the first of the keys as public-key, too", "there are only \"keys\", which the historic clients do not know: they find no key")
	}
	seen := fmt.Sprintf("RSA, %d bits, fingerprint %s", support.PublicKey.Size(), Short(support.PublicKey.Fingerprint()))
	if more := len(support.SigningKeys()) - 1; more > 0 {
		seen += fmt.Sprintf(", and %d more", more)
	}
	return report.Pass("%s", seen)
}

// kind is what a document makes of its host.
func (p *Published) kind() string {
	switch document := p.Document.(type) {
	case browserid.Support:
		return fmt.Sprintf("identity provider; sign-in %s, provisioning %s", document.Authentication, document.Provisioning)
	case browserid.Delegation:
		return "delegates to " + document.Authority
	case browserid.Disabled:
		return "is no identity provider: its document says disabled"
	}
	return "no document"
}

// Role checks that the document of a host of ours is the one that the
// configuration asks for.
func Role(p *Published, host config.Host) report.Finding {
	var same bool
	switch document := p.Document.(type) {
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
		return report.Fail("is another program, or this one with another configuration, answering there? Restart the program after changes",
			"the configuration says %s, the document %s", role, p.kind())
	}
	return report.Pass("%s", role)
}

// Arrows writes the authorities on a way.
func Arrows(chain []string) string { return strings.Join(chain, " → ") }

// Short cuts a fingerprint to what people compare.
func Short(fingerprint string) string {
	const most = 16
	if len(fingerprint) > most {
		return fingerprint[:most] + "…"
	}
	return fingerprint
}
