package redirect_test

import (
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream/redirect"
)

// FuzzPublic: what is changed leads to the host of the request, never from HTTPS to HTTP, keeps all that stands behind
// host and port, and is not changed a second time. The cases are those of package upstream.
func FuzzPublic(f *testing.F) {
	for _, location := range []string{
		"http://example.com:8080/a?b#c", "//EXAMPLE.com.:8080", "https://example.com:80//x", "http://user@example.com:8080/", "http://example.com:8080\\@evil.test/",
		"http://[::1]:8080/", "http:example.com", "///example.com/", "http://exa\tmple.com/", "http://bücher.example:8080/", "/a",
	} {
		f.Add(location, "https", "example.com")
		f.Add(location, "http", "example.com:8443")
	}
	website, err := url.Parse("http://cms:8080")
	if err != nil {
		f.Fatal(err)
	}
	rule := redirect.New(website, 8443)
	f.Fuzz(func(t *testing.T, location, scheme, host string) {
		if scheme != "https" {
			scheme = "http"
		}
		got := rule.Public(location, scheme, host)
		if got == location {
			return
		}
		to, rest, _ := strings.Cut(got, "://")
		end := strings.IndexAny(rest+"/", "/?#")
		authority, behind := rest[:end], rest[end:]
		_, before, _ := strings.Cut(location, "//")
		switch {
		case !strings.HasSuffix(before, behind) || len(before)-len(behind) != strings.IndexAny(before+"/", "/?#"):
			t.Errorf("%q became %q: the rest is another", location, got)
		case middleware.CanonicalHost(authority) != middleware.CanonicalHost(host) || strings.ContainsAny(authority, "@\\"):
			t.Errorf("%q became %q at %q", location, got, host)
		case to != "https" && (scheme == "https" || strings.HasPrefix(strings.ToLower(location), "https:")):
			t.Errorf("%q became %q, which is less safe", location, got)
		case rule.Public(got, scheme, host) != got:
			t.Errorf("%q became %q and then %q", location, got, rule.Public(got, scheme, host))
		}
	})
}
