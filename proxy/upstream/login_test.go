package upstream_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// signingIn starts a website that signs in connections, as IIS does: a challenge, an
// answer to it, and from then on the connection is the person's.
func signingIn(t testing.TB, scheme string) string {
	var mu sync.Mutex
	challenged, owner := map[int]bool{}, map[int]string{}
	_, target := scriptedSite(t, nil, func(conn int, head string) string {
		mu.Lock()
		defer mu.Unlock()
		_, sent, _ := strings.Cut(head, "Authorization: "+scheme+" ")
		sent, _, _ = strings.Cut(sent, "\r\n")
		challenge := scheme
		switch {
		case sent == "type1":
			challenged[conn] = true
			challenge += " type2"
		case strings.HasPrefix(sent, "type3 ") && challenged[conn]:
			owner[conn] = strings.TrimPrefix(sent, "type3 ")
		}
		if owner[conn] == "" {
			return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + challenge + "\r\nContent-Length: 0\r\n\r\n"
		}
		body := "the mailbox of " + owner[conn]
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	return target
}

// Over HTTP/1.1 a login of a connection works for the client's connection on which
// it was made, for as long as that lasts, and for no other.
func TestConnectionLogin(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"NTLM", "Negotiate"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			s := start(t, signingIn(t, scheme), options{})
			ask := func(client *http.Client, authorization string) string {
				res, body := get(t, client, "https://example.com/mail", func(r *http.Request) {
					if authorization != "" {
						r.Header.Set("Authorization", scheme+" "+authorization)
					}
				})
				return fmt.Sprint(res.StatusCode, " ", res.Header.Get("Www-Authenticate"), body)
			}
			expect := func(client *http.Client, authorization, want string) {
				t.Helper()
				if got := ask(client, authorization); got != want {
					t.Errorf("%q: got %q, want %q", authorization, got, want)
				}
			}
			alice, bob, stranger := s.client(t, false), s.client(t, false), s.client(t, false)
			expect(alice, "", "401 "+scheme)
			expect(alice, "type1", "401 "+scheme+" type2")
			expect(bob, "type1", "401 "+scheme+" type2")
			expect(stranger, "", "401 "+scheme)
			expect(alice, "type3 alice", "200 the mailbox of alice")
			expect(bob, "type3 bob", "200 the mailbox of bob")
			for range 3 {
				expect(alice, "", "200 the mailbox of alice")
				expect(bob, "", "200 the mailbox of bob")
				expect(stranger, "", "401 "+scheme)
			}
			alice.CloseIdleConnections()
			for range 10 {
				expect(s.client(t, false), "", "401 "+scheme)
				expect(alice, "", "401 "+scheme)
			}
		})
	}
}

// Over HTTP/2, and behind a proxy, requests of many persons may share a connection.
// Such a login cannot last there. It is never shared, and the log says what to do.
func TestLoginOverSharedConnection(t *testing.T) {
	t.Parallel()
	for hint, test := range map[string]struct {
		http2   bool
		trusted []netip.Prefix
	}{
		"domains[].http2: false": {true, nil},
		"the proxy in front":     {false, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		t.Run(hint, func(t *testing.T) {
			t.Parallel()
			loginOverShared(t, hint, test.http2, test.trusted)
		})
	}
}

func loginOverShared(t *testing.T, hint string, http2 bool, trusted []netip.Prefix) {
	t.Helper()
	s := start(t, signingIn(t, "NTLM"), options{trusted: trusted})
	client := s.client(t, http2)
	for _, authorization := range []string{"NTLM type1", "NTLM type3 alice", "", "NTLM type1"} {
		res, body := get(t, client, "https://example.com/mail", func(r *http.Request) { r.Header.Set("Authorization", authorization) })
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d %q", authorization, res.StatusCode, body)
		}
	}
	lines := 0
	for range 4 {
		s.line(t)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, hint) {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines name the key: %s", lines, s.log.String())
	}
}
