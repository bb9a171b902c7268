package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestAdminHosts: the admin listener answers probes, which ask by address, and no page of a foreign
// name that DNS leads to this machine.
func TestAdminHosts(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), `
state_dir: state
listen: {http: "127.0.0.1:0", admin: "localhost:0"}
tls: {mode: "off"}
trusted_proxies: [private]
domains: [{name: example.test, upstream: "http://127.0.0.1:1"}]
`)
	for host, want := range map[string]int{
		"":                            200, // the address that was dialled
		"10.1.2.3:9180":               200,
		"10.1.2.3":                    200,
		"[fd00::7]:9180":              200,
		"localhost:9180":              200,
		"LOCALHOST":                   200,
		"admin.localhost":             200,
		"persona:9180":                200, // a service of Compose
		"evil.test":                   421,
		"evil.test:9180":              421,
		"example.test":                421,
		"localhost.evil.test":         421,
		"127.0.0.1.evil.test":         421,
		"evil.test.":                  421,
		"notlocalhost.test":           421,
		strings.Repeat("x.", 3) + "y": 421,
	} {
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.Addr("admin").String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if body := read(t, response); response.StatusCode != want || want == 421 && !strings.Contains(body, "IP address") {
				t.Errorf("%s of host %q: %d", path, host, response.StatusCode)
			}
		}
	}
}
