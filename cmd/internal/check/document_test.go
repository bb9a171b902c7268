package check_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/idp/browserid"
)

// TestForeignProvider: nothing is wrong with one that keeps all rules.
func TestForeignProvider(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.org", newProvider(t))
	found := look(t, world.checker(nil).Domain("example.org"))
	found.nothingElse(t)
	found.expect(t, want{"content", report.OK, "sign-in /sign-in, provisioning /provision", ""})
	found.expect(t, want{"key", report.OK, "RSA, 2048 bits", ""})
	found.expect(t, want{"provisioning page", report.OK, "https://example.org/provision", ""})
}

// onlyKeys moves the key of a document into "keys".
func onlyKeys(t *testing.T, document string) string {
	t.Helper()
	parsed, err := browserid.ParseDocument([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	support := parsed.(browserid.Support)
	support.Keys = []*browserid.PublicKey{support.PublicKey}
	text, err := browserid.MarshalDocument(support)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "public-key")
	text, err = json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentRules breaks each rule of a support document over real TLS.
func TestDocumentRules(t *testing.T) {
	t.Parallel()
	good := newProvider(t).document
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   want
		rest   []string // further steps that must notice
	}{
		"no document":        {http.NotFound, want{"support document", report.Failed, "404", "publish the document"}, nil},
		"a redirect to www":  {redirect("https://www.example.org/.well-known/browserid"), want{"support document", report.Failed, "301: a redirect to https://www.example.org", "no client follows"}, nil},
		"another status":     {text(http.StatusAccepted, "application/json", good), want{"support document", report.Failed, "202 instead of 200", "status 200"}, nil},
		"unknown to persona": {text(http.StatusMisdirectedRequest, "text/html", "no"), want{"support document", report.Failed, "421", "list it under domains"}, nil},
		"not ready":          {text(http.StatusServiceUnavailable, "text/html", "the keys\n are being\tmade"), want{"support document", report.Failed, "503: the keys are being made", "log"}, nil},
		"a bad day":          {text(http.StatusBadGateway, "text/html", "no backend"), want{"support document", report.Failed, "502: no backend", "log"}, nil},
		"dots denied":        {text(http.StatusForbidden, "text/html", "no"), want{"support document", report.Failed, "403: the web server denies it", `nginx's location ~ /\. write location ^~ /.well-known/ {}, and exempt it from Apache's <DirectoryMatch "/\.">`}, nil},
		"a password":         {text(http.StatusUnauthorized, "text/html", "no"), want{"support document", report.Failed, "401: the web server asks for a password", "auth_basic off"}, nil},
		"byte order mark":    {published("\xef\xbb\xbf" + good), want{"content", report.Failed, "begins with a byte order mark (efbbbf)", `not "UTF-8 with BOM"`}, nil},
		"UTF-16":             {published("\xff\xfe{\x00"), want{"content", report.Failed, "begins with a byte order mark (fffe)", "save it as UTF-8"}, nil},
		"cut short": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5000")
			published(good)(w, r)
		}, want{"support document", report.Failed, "ends without an answer", "log"}, nil},
		"plain text": {text(http.StatusOK, "text/plain", good), want{"content type", report.Failed, "text/plain", "application/json"}, []string{"caching"}},
		"no type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte(good))
		}, want{"content type", report.Failed, "no content type", "application/json"}, []string{"caching"}},
		"type in capitals":    {text(http.StatusOK, "Application/JSON", good), want{"content type", report.Failed, "Application/JSON", "lower case"}, []string{"caching"}},
		"too large":           {published(`{"x":"` + strings.Repeat("a", 70<<10) + `"}`), want{"size", report.Failed, "more than 64 KiB", "nothing but"}, []string{"content"}},
		"large":               {published(strings.Replace(good, "{", `{"x":"`+strings.Repeat("a", 1500)+`",`, 1)), want{"size", report.Warning, "historic hub", "2048"}, nil},
		"a page":              {published("<html>"), want{"content", report.Failed, "", "the website answers"}, nil},
		"no JSON":             {published(`{"disabled":`), want{"content", report.Failed, "", "publish one JSON object"}, nil},
		"nothing in it":       {published(`{}`), want{"content", report.Failed, "public-key", "has the members"}, nil},
		"half switched off":   {published(`{"disabled":"yes"}`), want{"content", report.Failed, "true or false", `{"disabled":true}`}, nil},
		"upper case":          {published(`{"authority":"ID.Example.ORG"}`), want{"content", report.Failed, "lower case", `{"authority":"id.example.org"}`}, nil},
		"with a scheme":       {published(`{"authority":"https://id.example.org/"}`), want{"content", report.Failed, "", `{"authority":"id.example.org"}`}, nil},
		"with a path":         {published(`{"authority":"id.example.org/x"}`), want{"content", report.Failed, "", "without scheme and path"}, nil},
		"list of authorities": {published(`{"authority":["a.example"]}`), want{"content", report.Failed, "malformed authority", ""}, nil},
		"relative path":       {published(strings.Replace(good, "/sign-in", "sign-in", 1)), want{"content", report.Failed, "start with a slash", "from the root"}, nil},
		"path with a query":   {published(strings.Replace(good, "/sign-in", "/sign-in?a=b", 1)), want{"content", report.Failed, "invalid path", "query"}, nil},
		"path elsewhere":      {published(strings.Replace(good, "/provision", "//evil.example/", 1)), want{"content", report.Failed, "one slash only", "from the root"}, nil},
		"only keys":           {published(onlyKeys(t, good)), want{"key", report.Warning, "historic clients do not know", "public-key"}, nil},
		"short key":           {published(withKey(t, good, 1024)), want{"key", report.Failed, "bad key size", "2048"}, nil},
		"long key":            {published(withKey(t, good, 4096)), want{"content", report.Failed, "bad key size", "2048"}, nil},
		"DSA key":             {published(strings.Replace(good, `{"algorithm":"RS"`, dsaKey+`,"old":{"algorithm":"RS"`, 1)), want{"content", report.Failed, "", "2048"}, nil},
		"a cookie": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "a=b")
			published(good)(w, r)
		}, want{"caching", report.Warning, "sets a cookie", "no cookie"}, nil},
		"not to be kept": {func(w http.ResponseWriter, r *http.Request) { published(good)(kept{w, "no-store"}, r) }, want{"caching", report.Warning, "no-store", "max-age"}, nil},
		"switched off":   {published(`{"disabled":true}`), want{"authority", report.Warning, "no authority signs for example.org", "contact its operator"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			p := newProvider(t)
			p.answers["/.well-known/browserid"] = test.answer
			world.serve("example.org", p)
			found := look(t, world.checker(nil).Domain("example.org"))
			found.expect(t, test.want)
			found.nothingElse(t, append(test.rest, test.want.step)...)
		})
	}
}

// kept sets Cache-Control at the last moment.
type kept struct {
	http.ResponseWriter
	control string
}

func (k kept) WriteHeader(status int) {
	k.Header().Set("Cache-Control", k.control)
	k.ResponseWriter.WriteHeader(status)
}

func withKey(t *testing.T, document string, bits int) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(document), &members); err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1) // it has no private half, and needs none
	members["public-key"] = map[string]string{"algorithm": "RS", "n": n.String(), "e": "65537"}
	changed, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(changed)
}

func TestDelegation(t *testing.T) {
	t.Parallel()
	to := func(authority string) http.Handler {
		p := &provider{answers: map[string]func(http.ResponseWriter, *http.Request){
			browserid.DocumentPath: published(`{"authority":"` + authority + `"}`),
		}}
		return p
	}
	// chain makes a0.test → a1.test → … with so many delegations.
	chain := func(world *internet, hops int) {
		for n := range hops {
			world.serve(fmt.Sprintf("a%d.test", n), to(fmt.Sprintf("a%d.test", n+1)))
		}
	}
	for name, test := range map[string]struct {
		prepare func(*internet)
		want    want
	}{
		"five hops": {
			func(w *internet) { chain(w, 5); w.serve("a5.test", newProvider(w.t)) },
			want{"authority", report.OK, "a0.test → a1.test → a2.test → a3.test → a4.test → a5.test", ""},
		},
		"six hops": {
			func(w *internet) { chain(w, 6); w.serve("a6.test", newProvider(w.t)) },
			want{"authority", report.Failed, "too many delegations", "name a6.test at once"},
		},
		"itself":   {func(w *internet) { w.serve("a0.test", to("a0.test")) }, want{"authority", report.Failed, "in circles: a0.test → a0.test", "document of its own"}},
		"a circle": {func(w *internet) { chain(w, 2); w.serve("a2.test", to("a1.test")) }, want{"authority", report.Failed, "in circles: a0.test → a1.test → a2.test → a1.test", ""}},
		"nowhere":  {func(w *internet) { chain(w, 1) }, want{"authority", report.Failed, "a0.test → a1.test: DNS knows no address", "at a1.test: make an A"}},
		"to a domain that is none": {
			func(w *internet) { chain(w, 1); w.serve("a1.test", http.NotFoundHandler()) },
			want{"authority", report.Failed, "a0.test → a1.test: 404", "at a1.test: publish"},
		},
		"to one with keys alone": {
			func(w *internet) {
				chain(w, 1)
				p := newProvider(w.t)
				p.document = onlyKeys(w.t, p.document)
				w.serve("a1.test", p)
			},
			want{"authority", report.Warning, "a0.test → a1.test: there are only \"keys\"", "at a1.test: publish the first of the keys as public-key"},
		},
		"to a redirect": {
			func(w *internet) { chain(w, 1); w.serve("a1.test", http.HandlerFunc(redirect("https://www.a1.test/"))) },
			want{"authority", report.Failed, "a redirect to https://www.a1.test/", "no client follows"},
		},
		"to a domain that is off": {
			func(w *internet) {
				chain(w, 1)
				w.serve("a1.test", &provider{answers: map[string]func(http.ResponseWriter, *http.Request){browserid.DocumentPath: published(`{"disabled":true}`)}})
			},
			want{"authority", report.Failed, "none: its document says disabled", "is an identity provider"},
		},
		"to a bad certificate": {
			func(w *internet) {
				chain(w, 1)
				w.serveTLS("a1.test", newInternet(w.t).authority.TLS(w.t, "a1.test"), newProvider(w.t))
			},
			want{"authority", report.Failed, "TLS: ", "at a1.test"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			test.prepare(world)
			found := look(t, world.checker(nil).Domain("a0.test"))
			found.expect(t, test.want)
			found.nothingElse(t, test.want.step)
		})
	}
}

const dsaKey = `{"algorithm":"DS","y":"2","p":"7","q":"3","g":"2"}`
