package proxy_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
)

// neighbours is a configuration with a website of a server at 127.0.0.1, and one of a server elsewhere.
func neighbours() proxy.Config {
	c := config()
	c.Sites = append(c.Sites,
		proxy.Site{Name: "near.example", Hosts: []string{"near.example"}, Peers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		proxy.Site{Name: "far.example", Hosts: []string{"far.example"}, Peers: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		proxy.Site{Name: "no.example", Hosts: []string{"no.example"}, Peers: []netip.Addr{}})
	c.Intercepts[0].Match = func(r *http.Request) bool {
		return strings.HasSuffix(middleware.HostName(r), ".example") && strings.HasPrefix(r.URL.Path, "/kept")
	}
	return c
}

// TestPeers: on the host of a neighbour's website there are the intercepts alone, for that neighbour alone, whatever the
// TLS server name and the port of the Host are, and not over plain HTTP beside TLS.
func TestPeers(t *testing.T) {
	t.Parallel()
	trusted := netip.MustParsePrefix("127.0.0.1/32") // so that X-Forwarded-For counts for all else
	secure := open(t, neighbours(), (*proxy.Edge).Secure, true, trusted)
	terminated := open(t, neighbours(), (*proxy.Edge).Terminated, false, trusted)
	untrusted := open(t, neighbours(), (*proxy.Edge).Terminated, false)
	c := neighbours()
	c.HasCertificate = func(string) bool { return true }
	plain, early := open(t, c, (*proxy.Edge).Plain, false), open(t, neighbours(), (*proxy.Edge).Plain, false)
	for _, test := range []struct {
		host, path, field string
		status            int
	}{
		{"near.example", "/kept", "A: b", 200},
		{"near.example:8443", "/kept/x", "A: b", 200},
		{"NEAR.example.", "/kept", "A: b", 200},
		{"near.example", "/kept", "X-Forwarded-For: 192.0.2.7", 200},
		{"near.example", "/", "A: b", 421},
		{"near.example", "/kep", "A: b", 421},
		{"far.example", "/kept", "A: b", 421},
		{"far.example", "/kept", "X-Forwarded-For: 192.0.2.1", 421},
		{"far.example", "/kept", "X-Real-IP: 192.0.2.1", 421},
		{"no.example", "/kept", "A: b", 421},
		{"unknown.example", "/kept", "A: b", 421},
	} {
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", test.path, test.host, test.field)
		for _, name := range []string{"", "example.com", "near.example", "unknown.example"} {
			if response, body := secure.sendTLS(t, name, request); response.StatusCode != test.status {
				t.Errorf("%s%s by TLS to %q, %s: %d %s", test.host, test.path, name, test.field, response.StatusCode, body)
			}
		}
		for _, door := range []*door{terminated, untrusted} {
			if response, body := door.send(t, request); response.StatusCode != test.status {
				t.Errorf("%s%s behind a terminator, %s: %d %s", test.host, test.path, test.field, response.StatusCode, body)
			}
		}
		if response, _ := early.send(t, request); response.StatusCode != 421 {
			t.Errorf("%s%s by plain HTTP: %d", test.host, test.path, response.StatusCode)
		}
	}
	for _, host := range []string{"far.example", "near.example"} {
		if response, _ := plain.send(t, "GET /kept HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); response.StatusCode != 421 {
			t.Errorf("%s by plain HTTP, with a certificate: %d", host, response.StatusCode)
		}
	}
	// The name of a neighbour's website opens no other host.
	if response, _ := secure.sendTLS(t, "near.example", "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"); response.StatusCode != 421 {
		t.Errorf("another host by the name of a neighbour's website: %d", response.StatusCode)
	}
}
