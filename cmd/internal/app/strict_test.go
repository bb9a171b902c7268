package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestStrictTransport: identity hosts have browsers come back by HTTPS alone, others where that
// was configured; there is one field, the stricter one, on every answer.
func TestStrictTransport(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, own := range r.URL.Query()["own"] {
			w.Header().Add("Strict-Transport-Security", own)
		}
	}))
	t.Cleanup(site.Close)
	folder := t.TempDir()
	names := []string{"own.test", "shared.test", "plain.test", "asked.test", "www.asked.test", "off.test", "id.asked.test"}
	yaml, roots := filesYAML(t, folder, names...)
	domains := fmt.Sprintf(`domains:
  - {name: own.test, directory: corp}
  - {name: shared.test, upstream: %[1]q, directory: other}
  - {name: plain.test, upstream: %[1]q}
  - {name: asked.test, upstream: %[1]q, hosts: [www.asked.test], hsts: {max_age: 1h, include_subdomains: true}, directory: third, authority: id.asked.test}
  - {name: off.test, upstream: %[1]q, directory: fourth, hsts: {max_age: 0s}}
`, site.URL) + deadDirectory
	_, corp, _ := strings.Cut(deadDirectory, "corp:")
	for _, name := range []string{"other", "third", "fourth"} {
		domains += "  " + name + ":" + corp
	}
	p := start(t, folder, yaml+domains)
	waitForKeys(t, p)
	const year, week, hour = "max-age=31536000", "max-age=604800", "max-age=3600; includeSubDomains"
	for _, test := range []struct{ url, want string }{
		{"https://own.test/", year},
		{"https://own.test/persona/", year},
		{"https://own.test/none?own=x", year},
		{"https://shared.test/", week},
		{"https://shared.test/persona/none", week},
		{"https://shared.test/?own=max-age%3D0", week},
		{"https://shared.test/?own=max-age%3D604799", week},
		{"https://shared.test/?own=nonsense", week},
		{"https://shared.test/?own=max-age%3D0&own=max-age%3D99999999", week},
		{"https://shared.test/?own=max-age%3D63072000%3B+includeSubDomains%3B+preload", "max-age=63072000; includeSubDomains; preload"},
		{"https://shared.test/?own=Max-Age%3D%22604800%22", `Max-Age="604800"`},
		{"https://plain.test/", ""},
		{"https://plain.test/?own=max-age%3D5", "max-age=5"},
		{"https://asked.test/", hour},
		{"https://www.asked.test/", hour},
		{"https://id.asked.test/persona/", hour},
		{"https://asked.test/?own=max-age%3D7200", hour},
		{"https://asked.test/?own=max-age%3D7200%3Bincludesubdomains", "max-age=7200;includesubdomains"},
		{"https://off.test/", ""},
		{"https://off.test/persona/", ""},
		{"http://shared.test/", ""},
	} {
		response, err := p.client(roots).Get(test.url)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		want := []string{test.want}
		if test.want == "" {
			want = nil
		}
		if got := response.Header["Strict-Transport-Security"]; !slices.Equal(got, want) {
			t.Errorf("%s: %d %q, want %q", test.url, response.StatusCode, got, want)
		}
	}
	off := start(t, t.TempDir(), "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"\"}\ntls: {mode: off}\ntrusted_proxies: [127.0.0.1]\n"+
		fmt.Sprintf("domains:\n  - {name: own.test, directory: corp}\n  - {name: asked.test, upstream: %q, hsts: {max_age: 1h}}\n", site.URL)+deadDirectory)
	for _, test := range []struct{ host, proto, want string }{{"own.test", "https", ""}, {"asked.test", "https", "max-age=3600"}, {"asked.test", "http", ""}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+test.host+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-Proto", test.proto)
		response, err := off.client(nil).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if got := response.Header.Get("Strict-Transport-Security"); got != test.want {
			t.Errorf("behind a terminator, %v: %q", test, got)
		}
	}
}
