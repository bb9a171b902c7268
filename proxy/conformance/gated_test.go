package conformance_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream"
)

// anna are the fields by which a website is told that she is signed in. The assertion is longer than a header line of most programs.
var anna = []field{{"remote-user", "anna"}, {"x-staff", "\xc3\x84nne M\xc3\xbcller"}, {"x-persona-assertion", strings.Repeat("e30.", 2500)}}

// gateCookie is set by the gate with every answer of the website.
const gateCookie = "__Host-persona-site=sealed; Path=/; Secure"

// gated returns the part of our program that passes requests on, with a gate, in this process: who comes by HTTPS is anna, or
// anonymous, and below /secret/ there is nothing for others than her.
func gated(way string, signedIn bool) kind {
	return kind{name: "gated", serve: func(t testing.TB, p *program, entries []entry, folder string) (end func()) {
		var proxies []*upstream.Proxy
		var sites []proxy.Site
		gate := func(w http.ResponseWriter, r *http.Request, secure bool) proxy.Passage {
			rec := middleware.FromContext(r.Context())
			if secret := strings.HasPrefix(rec.Target.Path, "/secret/"); secret && !secure {
				return proxy.TooOpen
			} else if secret && !signedIn {
				http.Error(w, "sign in", http.StatusUnauthorized)
				return proxy.Answered
			}
			rec.Visit = &middleware.Visit{SetCookies: []string{gateCookie}, Private: true}
			if signedIn && secure && strings.HasSuffix(rec.Host, ".conformance.test") {
				for _, f := range anna {
					rec.Visit.Fields = append(rec.Visit.Fields, middleware.VisitField{Name: f.name, Value: f.value})
				}
			}
			return proxy.Admitted
		}
		for _, e := range entries {
			to, err := upstream.New(upstream.Config{
				Site: e.Name, URL: &url.URL{Scheme: "http", Host: p.sites[e.Name].address}, Log: zerolog.Nop(), OddNames: e.Fields["website"] == "odd",
				Cookies: []string{"__Host-persona", "__Host-persona-site", "__Host-persona-login"}, IdentityNames: []string{"Remote-User", "X-Staff"}, Gated: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			proxies = append(proxies, to)
			sites = append(sites, proxy.Site{Name: e.Name, Hosts: []string{e.Host()}, Handler: to, Gate: gate})
		}
		edge, err := proxy.New(proxy.Config{Sites: sites})
		if err != nil {
			t.Fatal(err)
		}
		var trust middleware.Trust
		if way == "trusted" {
			trust.Listed = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		chain := middleware.New(middleware.Config{Trust: trust, Log: zerolog.Nop()})
		handler, address := edge.Terminated(), p.plain
		var config *tls.Config
		switch way {
		case "plain":
			handler = edge.Plain()
		case "tls", "fast", "h2":
			pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.pem"), filepath.Join(folder, "tls.pem"))
			if err != nil {
				t.Fatal(err)
			}
			handler, address, config = edge.Secure(), p.secure, &tls.Config{Certificates: []tls.Certificate{pair}}
		}
		server := proxy.NewServer(chain(handler), config, zerolog.Nop())
		server.Fast = way == "fast"
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(listener) }()
		return func() {
			server.Close()
			for _, to := range proxies {
				to.Close()
			}
		}
	}}
}

// TestGated sends the corpus of claims to a website behind a gate over every way in. What the website gets of the person comes
// from the gate, and only by HTTPS.
func TestGated(t *testing.T) {
	t.Parallel()
	corpus := entries(t, conformance.Gated)
	for _, w := range []way{
		{name: "tls", dialed: "tls", scheme: "https"},
		{name: "fast", dialed: "tls", scheme: "https"},
		{name: "h2", dialed: "h2", scheme: "https"},
		{name: "plain", dialed: "plain", scheme: "http"},
		{name: "off", dialed: "plain", scheme: "http"},
		{name: "trusted", dialed: "plain", scheme: "https"},
	} {
		for who, fields := range map[string][]field{"anonymous": nil, "anna": anna} {
			w := w
			w.kind = gated(w.name, fields != nil)
			if w.scheme == "http" {
				fields = nil
			}
			t.Run(w.name+"/"+who, func(t *testing.T) {
				t.Parallel()
				sent := slices.DeleteFunc(over(corpus, w.name), func(e entry) bool { return e.Fields["who"] != "" && e.Fields["who"] != who })
				if w.name == "trusted" {
					for i := range sent {
						sent[i].behind = "X-Forwarded-Proto: https\r\n"
					}
				}
				for name, r := range run(t, w, sent) {
					e := sent[slices.IndexFunc(sent, func(e entry) bool { return e.Name == name })]
					for _, fault := range append(withoutPerson(&r, fields), e.differences(t, w, r)...) {
						t.Errorf("%s: %s", name, fault)
					}
				}
			})
		}
	}
}

// withoutPerson takes out of requests the fields that the gate adds, and returns what is wrong with them and with the answers.
func withoutPerson(r *result, person []field) (faults []string) {
	for i := range r.reached {
		one := &r.reached[i]
		var found []field
		one.fields = slices.DeleteFunc(one.fields, func(f field) bool {
			named := slices.ContainsFunc(person, func(p field) bool { return p.name == f.name })
			if named {
				found = append(found, f)
			}
			return named
		})
		if !slices.Equal(found, person) {
			faults = append(faults, fmt.Sprintf("%s reached the website with %q", one, found))
		}
	}
	for _, a := range r.answers {
		if !strings.HasPrefix(a.body, page("")) {
			continue
		}
		if cookies := a.fields["Set-Cookie"]; !slices.Equal(cookies, []string{gateCookie}) || a.fields.Get("Cache-Control") != "private" {
			faults = append(faults, fmt.Sprintf("the answer has the fields %v", a.fields))
		}
	}
	return faults
}
