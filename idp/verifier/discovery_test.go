package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/verifier"

	"github.com/google/go-cmp/cmp"
)

func TestDiscover(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	elsewhere := "idp.port.test:" + strconv.Itoa(n.port)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("idp.foreign.test", support(t, foreignKey()))
	n.publish("idp.port.test", support(t, foreignKey()))
	n.delegate("delegating.test", "foreign.test")
	n.delegate("port.test", elsewhere)
	n.delegate("toours.test", "example.com")
	n.delegate("hop1.test", "hop2.test")
	n.delegate("hop2.test", "hop3.test")
	n.delegate("hop3.test", "hop4.test")
	n.delegate("hop4.test", "hop5.test")
	n.delegate("hop5.test", "foreign.test")
	n.publish("both.test", `{"authority":"foreign.test","public-key":5}`)
	tests := []struct {
		domain string
		chain  []string
	}{
		{"foreign.test", []string{"foreign.test"}},
		{"delegating.test", []string{"delegating.test", "foreign.test"}},
		{"both.test", []string{"both.test", "foreign.test"}},
		{"port.test", []string{"port.test", elsewhere}},
		{"hop1.test", []string{"hop1.test", "hop2.test", "hop3.test", "hop4.test", "hop5.test", "foreign.test"}},
		{"id.example.com", []string{"id.example.com"}},
		{"example.com", []string{"example.com", "id.example.com"}},
		{"sister.example", []string{"sister.example", "id.example.com"}},
		{"elsewhere.example", []string{"elsewhere.example", "idp.foreign.test"}},
		{"toours.test", []string{"toours.test", "example.com", "id.example.com"}},
	}
	d := n.discovery()
	for _, test := range tests {
		t.Run(test.domain, func(t *testing.T) {
			t.Parallel()
			authority, err := d.Discover(t.Context(), test.domain)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.chain, authority.Chain); diff != "" {
				t.Error(diff)
			}
			if authority.Name != test.chain[len(test.chain)-1] || len(authority.Keys()) == 0 || authority.Support.Provisioning == "" {
				t.Errorf("incomplete: %+v", authority)
			}
		})
	}
}

func TestDiscoverAsksAsTheHistoricClientsDid(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.delegate("delegating.test", "foreign.test")
	if _, err := n.discovery().Discover(t.Context(), "delegating.test"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"delegating.test/.well-known/browserid?domain=delegating.test",
		"foreign.test/.well-known/browserid?domain=delegating.test",
	}
	if diff := cmp.Diff(want, n.requests()); diff != "" {
		t.Error(diff)
	}
}

// TestDiscoverIsObserved: an observer sees each document on the way with its
// answer, that of a refused one too, and what was known without a request.
func TestDiscoverIsObserved(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.delegate("delegating.test", "foreign.test")
	n.delegate("broken.test", "missing.test")
	n.handle("missing.test", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", http.StatusNotFound) })
	var seen []string
	d := n.discovery(func(c *verifier.DiscoveryConfig) {
		c.Observe = func(l verifier.Lookup) {
			if l.Response == nil {
				seen = append(seen, fmt.Sprintf("%s about %s: known", l.Name, l.Domain))
				return
			}
			seen = append(seen, fmt.Sprintf("%s about %s: %d, %t, %q", l.Name, l.Domain, l.Response.StatusCode, l.Err == nil, l.Body[:8]))
		}
	})
	for _, domain := range []string{"delegating.test", "delegating.test"} {
		if _, err := d.Discover(t.Context(), domain); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.DiscoverFrom(t.Context(), "broken.test", "mail.test"); err == nil {
		t.Error("a missing document is no error")
	}
	want := []string{
		`delegating.test about delegating.test: 200, true, "{\"author"`,
		`foreign.test about delegating.test: 200, true, "{\"public"`,
		"delegating.test about delegating.test: known",
		"foreign.test about delegating.test: known",
		`broken.test about mail.test: 200, true, "{\"author"`,
		`missing.test about mail.test: 404, false, "not here"`,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// What a domain can do wrong, by design or by mistake.
func TestDiscoverRefuses(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, support(t, foreignKey()))
		}
	}
	good := support(t, foreignKey())
	body := func(text string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			_, _ = io.WriteString(w, text)
		}
	}
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for chunk := []byte(strings.Repeat(" ", 4096)); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	delegations := map[string]string{
		"self.test": "self.test", "loop1.test": "loop2.test", "loop2.test": "loop1.test",
		"far1.test": "far2.test", "far2.test": "far3.test", "far3.test": "far4.test", "far4.test": "far5.test", "far5.test": "far6.test", "far6.test": "good.test",
		"toport.test": "good.test:22", "tolocal.test": "localhost", "tonone.test": "none.test", "todisabled.test": "old.example",
	}
	for from, to := range delegations {
		n.delegate(from, to)
	}
	n.publish("good.test", good)
	n.resolveTo("none.test")
	n.resolveTo("unresolved.test")
	tests := []struct {
		domain  string
		handler http.HandlerFunc // nil: as above
		kind    verifier.Kind
		want    string
	}{
		{"moved.test", status(301, "Location", "https://good.test/.well-known/browserid"), verifier.NotProvider, "moved.test is not a browserid primary - redirection not supported for support documents"},
		{"found.test", status(302, "Location", "https://good.test/.well-known/browserid"), verifier.NotProvider, "found.test is not a browserid primary - redirection not supported for support documents"},
		{"other.test", status(303, "Location", "/x"), verifier.NotProvider, "other.test is not a browserid primary - redirection not supported for support documents"},
		{"temporary.test", status(307, "Location", "/x"), verifier.NotProvider, "temporary.test is not a browserid primary - redirection not supported for support documents"},
		{"permanent.test", status(308, "Location", "/x"), verifier.NotProvider, "permanent.test is not a browserid primary - non-200 response code to /.well-known/browserid"},
		{"created.test", status(201), verifier.NotProvider, "created.test is not a browserid primary - non-200 response code to /.well-known/browserid"},
		{"missing.test", status(404), verifier.NotProvider, "missing.test is not a browserid primary - non-200 response code to /.well-known/browserid"},
		{"broken.test", status(500), verifier.NotProvider, "broken.test is not a browserid primary - non-200 response code to /.well-known/browserid"},
		{"html.test", body(good, "Content-Type", "text/html"), verifier.NotProvider, `html.test is not a browserid primary - non "application/json" response to /.well-known/browserid`},
		{"case.test", body(good, "Content-Type", "Application/JSON"), verifier.NotProvider, `case.test is not a browserid primary - non "application/json" response to /.well-known/browserid`},
		{"untyped.test", body(good, "Content-Type", ""), verifier.NotProvider, `untyped.test is not a browserid primary - non "application/json" response to /.well-known/browserid`},
		{"page.test", body("<!doctype html><title>Not found</title>"), verifier.Malformed, "bad support document for 'page.test': Error: "},
		{"empty.test", body(""), verifier.Malformed, "bad support document for 'empty.test': Error: "},
		{"huge.test", body(good + strings.Repeat(" ", 64<<10)), verifier.Malformed, "longer than 65536 bytes"},
		{"endless.test", endless, verifier.Malformed, "longer than 65536 bytes"},
		{"compressed.test", body("\x1f\x8b\x08\x00", "Content-Encoding", "gzip"), verifier.Malformed, "bad support document for 'compressed.test': Error: "},
		{"hangup.test", hangUp, verifier.Unreachable, "hangup.test is not a browserid primary - cannot be reached"},
		{"headers.test", body(good, "X-Large", strings.Repeat("x", 64<<10)), verifier.Unreachable, "headers.test is not a browserid primary - cannot be reached"},
		{"unknown.test", body(`{"public-key":{"kty":"EC"},"authentication":"/a","provisioning":"/p"}`), verifier.Malformed, `bad support document for 'unknown.test': Error: support document: public key: a key of kind "EC" is not supported`},
		{"weak.test", body(support(t, shortKey())), verifier.Malformed, "bad support document for 'weak.test': Error: bad key size: 1024"},
		{"nokey.test", body(`{"authentication":"/a","provisioning":"/p"}`), verifier.Malformed, `"public-key" is missing`},
		{"path.test", body(strings.Replace(good, `"/a"`, `"//evil.test/a"`, 1)), verifier.Malformed, "invalid path"},
		{"truthy.test", body(`{"disabled":"true"}`), verifier.Malformed, "bad support document for 'truthy.test': Error: support document: disabled must be either true or false"},
		{"scheme.test", body(`{"authority":"https://good.test"}`), verifier.Malformed, "bad support document for 'scheme.test'"},
		{"address.test", body(`{"authority":"127.0.0.1"}`), verifier.Malformed, "an IP address is not a host name"},
		{"upper.test", body(`{"authority":"Good.test"}`), verifier.Malformed, "not in lower case"},
		{"disabled.test", body(`{"disabled":true}`), verifier.Disabled, "disabled.test is not a browserid primary - it is disabled"},
		{"old.example", nil, verifier.Disabled, "old.example is not a browserid primary - it is disabled"},
		{"todisabled.test", nil, verifier.Disabled, "old.example is not a browserid primary - it is disabled"},
		{"self.test", nil, verifier.Circular, "Circular reference in delegating authority: self.test > self.test"},
		{"loop1.test", nil, verifier.Circular, "Circular reference in delegating authority: loop1.test > loop2.test > loop1.test"},
		{"far1.test", nil, verifier.TooManyHops, "Too many hops while delegating authority: far1.test > far2.test > far3.test > far4.test > far5.test > far6.test > good.test"},
		{"toport.test", nil, verifier.Forbidden, "good.test:22 is not a browserid primary - cannot be reached"},
		{"tonone.test", nil, verifier.Unreachable, "none.test is not a browserid primary - cannot be reached"},
		{"unresolved.test", nil, verifier.Unreachable, "unresolved.test is not a browserid primary - cannot be reached"},
		{"wrong-name.test", body(good), verifier.Unreachable, "wrong-name.test is not a browserid primary - cannot be reached"},
		{"outdated.test", body(good), verifier.Unreachable, "outdated.test is not a browserid primary - cannot be reached"},
		{"Upper.test", nil, verifier.Invalid, "invalid domain: "},
		{"127.0.0.1", nil, verifier.Invalid, "invalid domain: "},
		{"[::1]", nil, verifier.Invalid, "invalid domain: "},
		{"a.test/path", nil, verifier.Invalid, "invalid domain: "},
		{"user@a.test", nil, verifier.Invalid, "invalid domain: "},
		{"a.test\r\nHost: b", nil, verifier.Invalid, "invalid domain: "},
		{"a.test:99999", nil, verifier.Invalid, "invalid domain: "},
		{"", nil, verifier.Invalid, "invalid domain: "},
	}
	// Those for which it helps to ask again soon: neither a misspelt name nor a certificate for another becomes right.
	temporary := map[string]bool{"headers.test": true, "hangup.test": true}
	d := n.discovery()
	for _, test := range tests {
		if test.handler != nil {
			n.handle(test.domain, test.handler)
		}
		t.Run(test.domain, func(t *testing.T) {
			t.Parallel()
			authority, err := d.Discover(t.Context(), test.domain)
			var failed *verifier.LookupError
			if !errors.As(err, &failed) {
				t.Fatalf("%v, %v", authority, err)
			}
			if got := failed.Temporary(); got != temporary[test.domain] {
				t.Errorf("temporary: %t", got)
			}
			if failed.Kind != test.kind || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d: %v (%v), want %d: %s", failed.Kind, err, errors.Unwrap(err), test.kind, test.want)
			}
			if strings.Contains(err.Error(), "127.0.0.1") && (failed.Kind == verifier.Unreachable || failed.Kind == verifier.Forbidden) {
				t.Errorf("it tells of our network: %v", err)
			}
		})
	}
}

// hintOf returns what the operator is told to do about an error.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		return ""
	}
	return hinted.Hint()
}

// Only the machines that are named may be asked, whatever a foreign name
// resolves to.
func TestDiscoverRefusesPrivateAddresses(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("trusted.test", support(t, foreignKey()))
	n.delegate("trusted-to-foreign.test", "foreign.test")
	closed := n.discovery(func(c *verifier.DiscoveryConfig) {
		c.AllowPrivate, c.AllowPrivateDomains = nil, []string{"trusted.test", "trusted-to-foreign.test"}
	})
	for domain, allowed := range map[string]bool{"foreign.test": false, "trusted.test": true, "trusted-to-foreign.test": false, "sub.trusted.test": false} {
		_, err := closed.Discover(t.Context(), domain)
		var failed *verifier.LookupError
		if (err == nil) != allowed {
			t.Errorf("%s: %v", domain, err)
		}
		if err != nil && (!errors.As(err, &failed) || failed.Kind != verifier.Forbidden || !strings.Contains(hintOf(err), "lookups.allow_private")) {
			t.Errorf("%s: %v: %v", domain, err, errors.Unwrap(err))
		}
	}
	for _, request := range n.requests() {
		if strings.HasPrefix(request, "foreign.test") {
			t.Error("the private address was asked")
		}
	}
	other := n.discovery(func(c *verifier.DiscoveryConfig) {
		c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	if _, err := other.Discover(t.Context(), "foreign.test"); err == nil {
		t.Error("a network that is not listed was asked")
	}
}

// Every spelling of every network that is not the Internet, as DNS may give it.
func TestDiscoverRefusesSpecialAddresses(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	d := n.discovery(func(c *verifier.DiscoveryConfig) { c.AllowPrivate = nil })
	for i, address := range []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
		"192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
	} {
		domain := fmt.Sprintf("special%d.test", i)
		n.resolveTo(domain, address)
		_, err := d.Discover(t.Context(), domain)
		var failed *verifier.LookupError
		if !errors.As(err, &failed) || failed.Kind != verifier.Forbidden && !strings.Contains(fmt.Sprint(failed.Unwrap()), "no such host") {
			t.Errorf("%s: %v: %v", address, err, errors.Unwrap(err))
		}
	}
}

func TestDiscoverPorts(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	d := n.discovery(func(c *verifier.DiscoveryConfig) { c.Ports = []int{1, 2} })
	_, err := d.Discover(t.Context(), "foreign.test")
	var failed *verifier.LookupError
	if !errors.As(err, &failed) || failed.Kind != verifier.Forbidden || !strings.Contains(hintOf(err), "lookups.ports") {
		t.Errorf("%v", err)
	}
}

func TestDiscoverUntrustedRoot(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	d := n.discovery(func(c *verifier.DiscoveryConfig) { c.Roots = nil })
	if _, err := d.Discover(t.Context(), "foreign.test"); err == nil || !strings.Contains(errors.Unwrap(err).Error(), "certificate") {
		t.Errorf("%v: %v", err, errors.Unwrap(err))
	}
}

// A server that begins and does not end is left when the time is over, and
// the caller may leave before.
func TestDiscoverSlow(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	arrived := make(chan struct{}, 8)
	n.handle("slow.test", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	d := n.discovery()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := d.Discover(ctx, "slow.test")
		left <- err
	}()
	<-arrived
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	d = n.discovery(func(c *verifier.DiscoveryConfig) { c.Time = 50 * time.Millisecond })
	began := time.Now()
	_, err := d.Discover(t.Context(), "slow.test")
	if err == nil || err.Error() != "timeout trying to load well-known for slow.test" {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > verifier.LookupTime {
		t.Errorf("it took %s", took)
	}
}

// Own keys that are not ready are our own fault.
func TestDiscoverOwnNotReady(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	notReady := errors.New("keys not ready")
	d := n.discovery(func(c *verifier.DiscoveryConfig) {
		c.Own = func(string) (browserid.Document, bool, error) { return nil, true, notReady }
	})
	_, err := d.Discover(t.Context(), "example.com")
	var failed *verifier.LookupError
	if !errors.Is(err, notReady) || errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
	if len(n.requests()) > 0 {
		t.Error("a server was asked about our own domain")
	}
}

// Proxies of the environment are for others.
func TestDiscoverUsesNoProxy(t *testing.T) {
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	t.Setenv("HTTPS_PROXY", "http://"+listener.Addr().String())
	if _, err := n.discovery().Discover(t.Context(), "foreign.test"); err != nil {
		t.Error(err)
	}
}
