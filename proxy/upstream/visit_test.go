package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/middleware"
)

// anna is signed in.
var anna = middleware.Visit{
	Fields:     []middleware.VisitField{{Name: "Remote-User", Value: "anna"}, {Name: "X-Staff", Value: "\xc3\x84nne"}},
	SetCookies: []string{ourCookie + "-site=sealed; Path=/; Secure", "i_like_gitea=; Max-Age=0"},
	Private:    true,
}

// endsWith is the end of a session when c is closed.
func endsWith(c <-chan struct{}) func(context.Context) <-chan struct{} {
	return func(context.Context) <-chan struct{} { return c }
}

// What a website gets of a request: never a client's word about who it is, and never
// another target or method than the one that was decided about.
func TestVisitFields(t *testing.T) {
	t.Parallel()
	signedIn := []string{"Remote-User: anna", "X-Staff: \xc3\x84nne"}
	names := []string{"Remote-User", "X-Staff", "My.Badge_1"}
	claims := []string{
		"Remote-User: root", "remote-user: root", "Remote-User: admin", "x-staff: root", "X-STAFF: boss", "X-Staff:", "My-Badge-1: 7",
		"X-Persona-Assertion: e30", "Remote-Groups: wheel", "X-Auth-Request-User: root", "X-Forwarded-User: root",
	}
	odd := []string{"Remote_User: root", "Remote.User: root", "X_Staff: root", "x.staff: root", "X!Staff: root", "My.Badge_1: 7", "my|badge~1: 7"}
	reroute := []string{"X-Original-URL: /admin", "x-rewrite-url: /admin", "X-Original-URI: /admin", "X_Original_Url: /admin"}
	override := []string{"X-HTTP-Method-Override: PUT", "X-HTTP-Method: PUT", "x-method-override: PUT"}
	claimed := []string{"X-Forwarded-Uri: /admin", "X-Forwarded-Method: GET", "X-Forwarded-Prefix: /a"}
	away, listed := []netip.Prefix(nil), []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, test := range map[string]struct {
		line    string
		options options
		sent    []string
		seen    []string
	}{
		"stranger":                {"GET", options{identityNames: names, trusted: away}, slices.Concat(claims, odd), nil},
		"stranger, odd names":     {"GET", options{identityNames: names, oddNames: true}, slices.Concat(claims, odd, []string{"X_A: 1"}), []string{"X_A: 1"}},
		"trusted proxy":           {"GET", options{identityNames: names, oddNames: true, trusted: listed}, slices.Concat(claims, odd), nil},
		"no identity fields":      {"GET", options{}, []string{"X-Staff: root", "My-Badge-1: 7"}, []string{"X-Staff: root", "My-Badge-1: 7"}},
		"signed in":               {"GET", options{identityNames: names, oddNames: true, visit: &anna}, slices.Concat(claims, odd), signedIn},
		"signed in, trusted":      {"GET", options{identityNames: names, oddNames: true, trusted: listed, visit: &anna}, slices.Concat(claims, odd), signedIn},
		"of the connection":       {"GET", options{identityNames: names, visit: &anna}, []string{"Connection: Remote-User, X-Staff, X-A", "X-Staff: root", "X-A: 1"}, signedIn},
		"of the connection, TE":   {"GET", options{identityNames: names, visit: &anna}, []string{"Connection: TE, remote-user", "TE: trailers"}, slices.Concat(signedIn, []string{"Connection: TE", "TE: trailers"})},
		"other names stay apart":  {"GET", options{identityNames: names}, []string{"X-Two: 1", "X-Two: 2", "X-Staffs: 3", "X-Staf: 4"}, []string{"X-Two: 1", "X-Two: 2", "X-Staffs: 3", "X-Staf: 4"}},
		"rerouted":                {"GET", options{gated: true, visit: &anna}, reroute, signedIn},
		"rerouted by a proxy":     {"GET", options{gated: true, trusted: listed, oddNames: true}, reroute, nil},
		"rerouted without a gate": {"GET", options{}, reroute[:3], reroute[:3]},
		"claimed":                 {"GET", options{gated: true}, claimed, nil},
		"claimed by a proxy":      {"GET", options{gated: true, trusted: listed}, claimed, claimed},
		"method, anonymous":       {"POST", options{gated: true, visit: &middleware.Visit{}}, override, nil},
		"method, no visit":        {"POST", options{gated: true}, override, nil},
		"method, safe":            {"GET", options{gated: true, visit: &anna}, override, signedIn},
		"method, signed in":       {"POST", options{gated: true, visit: &anna}, override, slices.Concat(override, signedIn)},
		"method without a gate":   {"GET", options{}, override, override},
		"our cookies": {
			"GET",
			options{visit: &middleware.Visit{Hidden: []string{"i_like_gitea", "sid"}}},
			[]string{"Cookie: a=1; __Host-persona-site=s; i_like_gitea=x; __Host-persona-login=l; sid2=2; sid=3", "Cookie: sid=4; __Host-persona=p"},
			[]string{"Cookie: a=1; sid2=2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, echoHead(t), test.options)
			ways(t, s, func(t *testing.T, dial func() net.Conn) {
				conn := dial()
				fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: example.com\r\n%s\r\n", test.line, strings.Join(append(slices.Clip(test.sent), ""), "\r\n"))
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				lines := clientLines(read(t, res.Body))
				if diff := cmp.Diff(test.seen, slices.DeleteFunc(lines, func(l string) bool { return l == "Content-Length: 0" }), cmpEmpty); diff != "" {
					t.Errorf("(-want +seen):\n%s", diff)
				}
			})
			t.Run("HTTP2", func(t *testing.T) {
				t.Parallel()
				r, err := http.NewRequest(test.line, "https://example.com/", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{"User-Agent": {""}}
				for _, line := range test.sent {
					name, value, _ := strings.Cut(line, ":")
					if name != "Connection" { // which HTTP/2 does not know
						r.Header.Add(name, strings.TrimPrefix(value, " "))
					}
				}
				_, head := do(t, s.client(t, true), r)
				seen, want := clientLines(head), slices.Clone(test.seen)
				seen = slices.DeleteFunc(seen, func(l string) bool { return l == "Content-Length: 0" || l == "X-A: 1" })
				lower := func(lines []string) []string {
					for i, line := range lines {
						name, value, _ := strings.Cut(line, ":")
						lines[i] = strings.ToLower(name) + ":" + value
					}
					slices.Sort(lines)
					return lines
				}
				if diff := cmp.Diff(lower(want), lower(seen), cmpEmpty); diff != "" {
					t.Errorf("(-want +seen):\n%s", diff)
				}
			})
		})
	}
}

// A trailer section says nothing of the person either, announced or not.
func TestVisitTrailers(t *testing.T) {
	t.Parallel()
	website := site(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Header, r.Trailer)
	})
	s := start(t, website, options{identityNames: []string{"X-Staff"}, gated: true, oddNames: true, visit: &anna})
	for _, name := range []string{"X-Staff", "x-staff", "X_Staff", "X.Staff", "Remote-User", "X-Persona-Id", "X-Original-URL", "X-HTTP-Method-Override", "X-Forwarded-Uri", "Cookie"} {
		for _, announced := range []string{"Trailer: " + name + ", X-Sum\r\n", "Trailer: X-Sum\r\n", ""} {
			ways(t, s, func(t *testing.T, dial func() net.Conn) {
				conn := dial()
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n%s\r\n1\r\na\r\n0\r\n%s: forged!\r\nX-Sum: 1\r\n\r\n", announced, name)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body := read(t, res.Body)
				if strings.Contains(body, "forged!") || !strings.Contains(body, "Remote-User:[anna]") || announced != "" && !strings.Contains(body, "X-Sum:[1]") {
					t.Errorf("%s, %q: the website saw %s", name, announced, body)
				}
			})
		}
	}
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		r, err := http.NewRequest(http.MethodPost, "https://example.com/", io.MultiReader(strings.NewReader("a")))
		if err != nil {
			t.Fatal(err)
		}
		r.Trailer = http.Header{"X-Staff": {"forged!"}, "X_staff": {"forged!"}, "Remote-User": {"forged!"}, "X-Original-Url": {"forged!"}, "X-Sum": {"1"}}
		if _, body := do(t, s.client(t, true), r); strings.Contains(body, "forged!") || !strings.Contains(body, "X-Sum:[1]") {
			t.Errorf("the website saw %s", body)
		}
	})
}

// Every kind of answer carries the cookies of a visit, in front of the website's own, which
// may replace one of its own that is expired; no interim one does.
func TestVisitCookies(t *testing.T) {
	t.Parallel()
	theirs := []string{"a=1", "b=2; Path=/"}
	target := rawSite(t, func(head string, conn net.Conn, _ *bufio.Reader) {
		path := strings.Fields(head)[1]
		fields := "Set-Cookie: a=1\r\nset-cookie: b=2; Path=/\r\nSet-Cookie: __Host-persona-site=evil\r\nSet-Cookie: __Host-persona-login=evil\r\n"
		switch path {
		case "/200":
			io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"+fields+"Content-Length: 2\r\n\r\nok")
		case "/304":
			io.WriteString(conn, "HTTP/1.1 304 Not Modified\r\n"+fields+"ETag: \"e\"\r\n\r\n")
		case "/chunked":
			io.WriteString(conn, "HTTP/1.1 404 Not Found\r\n"+fields+"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: __Host-persona-site=evil\r\n\r\n")
		case "/socket":
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+fields+"\r\n")
		case "/broken":
			io.WriteString(conn, "nonsense\r\n\r\n")
		}
	})
	s := start(t, target, options{visit: &anna})
	check := func(t *testing.T, what string, status int, h http.Header, private bool) {
		t.Helper()
		got, want := h["Set-Cookie"], slices.Concat(anna.SetCookies, theirs)
		if status == http.StatusBadGateway {
			want = anna.SetCookies
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", what, diff)
		}
		if private && h.Get("Cache-Control") != "private" {
			t.Errorf("%s: Cache-Control is %q", what, h["Cache-Control"])
		}
	}
	paths := map[string]int{"/200": 200, "/304": 304, "/chunked": 404, "/broken": 502}
	ways(t, s, func(t *testing.T, dial func() net.Conn) {
		for path, status := range paths {
			conn := dial()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: example.com\r\n\r\n", path)
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			if err == nil && res.StatusCode == http.StatusEarlyHints {
				if len(res.Header["Set-Cookie"]) > 0 || len(res.Header["Cache-Control"]) > 0 {
					t.Errorf("the interim answer has %v", res.Header)
				}
				res, err = http.ReadResponse(r, nil)
			}
			if err != nil || res.StatusCode != status {
				t.Fatal(path, res, err)
			}
			check(t, path, status, res.Header, status != 502)
			read(t, res.Body)
			if len(res.Trailer["Set-Cookie"]) > 0 {
				t.Errorf("%s: the trailer is %v", path, res.Trailer)
			}
		}
		conn := dial()
		io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res, err)
		}
		check(t, "/socket", res.StatusCode, res.Header, false)
	})
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		for path, status := range paths {
			res, _ := get(t, s.client(t, true), "https://example.com"+path)
			if res.StatusCode != status {
				t.Fatal(path, res)
			}
			check(t, path, status, res.Header, status != 502)
		}
	})
}

// No shared cache keeps an answer that is private, and the website's own words stay
// otherwise as they are.
func TestVisitIsPrivate(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"":                                   "Cache-Control: private",
		"Cache-Control: public":              "Cache-Control: private",
		"Cache-Control:":                     "Cache-Control: private",
		"cache-control: Public , max-age=60": "cache-control: private, max-age=60",
		"Cache-Control: max-age=60, s-maxage=9,immutable":     "Cache-Control: private, max-age=60,immutable",
		`Cache-Control: S-MaxAge = "9", x="a, public"`:        `Cache-Control: private, x="a, public"`,
		`Cache-Control: x="a\", public, y", public`:           `Cache-Control: private, x="a\", public, y"`,
		`Cache-Control: x="never closed, private`:             `Cache-Control: private, x="never closed, private`,
		"Cache-Control: private, max-age=5":                   "Cache-Control: private, max-age=5",
		"Cache-Control: PRIVATE,public":                       "Cache-Control: PRIVATE",
		`Cache-Control: private="Set-Cookie", max-age=5`:      "Cache-Control: private, max-age=5",
		"Cache-Control:  no-store ,  x=y , no-cache":          "Cache-Control: no-store ,  x=y , no-cache",
		"Cache-Control: public, no-store, s-maxage=5":         "Cache-Control: no-store",
		"Cache-Control: public\r\nCACHE-control: max-age=1":   "CACHE-control: private, max-age=1",
		"Cache-Control: max-age=1\r\nCache-Control: no-store": "Cache-Control: max-age=1\r\nCache-Control: no-store",
		"Cache-Control: publicity=1":                          "Cache-Control: private, publicity=1",
		"Surrogate-Control: max-age=9\r\nCDN-Cache-Control: max-age=9\r\ncloudflare-cdn-cache-control: max-age=9\r\nEdge-Control: x\r\nX-Accel-Expires: 9\r\nVary: Accept": "Vary: Accept\r\nCache-Control: private",
	} {
		t.Run(sent, func(t *testing.T) {
			t.Parallel()
			lines := ""
			if sent != "" {
				lines = sent + "\r\n"
			}
			target := rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+lines+"\r\n")
			})
			for visit, want := range map[*middleware.Visit]string{{Private: true}: want, {}: sent, nil: sent, {SetCookies: []string{"a=1"}}: want + "\r\nSet-Cookie: a=1"} {
				ways(t, start(t, target, options{visit: visit}), func(t *testing.T, dial func() net.Conn) {
					conn := dial()
					io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
					got, err := io.ReadAll(conn)
					if err != nil {
						t.Fatal(err)
					}
					kept := slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(got), "\r\n\r\n"), "\r\n")[1:], func(l string) bool {
						return l == "Content-Length: 0" || l == "Connection: close" || strings.HasPrefix(l, "Date: ")
					})
					want := strings.Split(strings.ReplaceAll(want, "Cache-Control:  ", "Cache-Control: "), "\r\n")
					if want[0] == "" {
						want = want[1:]
					}
					slices.Sort(kept)
					slices.Sort(want)
					for i := range want {
						want[i] = strings.TrimSuffix(want[i], " ")
					}
					for i := range kept {
						kept[i] = strings.TrimSuffix(kept[i], " ")
					}
					if diff := cmp.Diff(want, kept, cmpEmpty); diff != "" {
						t.Errorf("visit %v (-want +got):\n%s", visit, diff)
					}
				})
			}
		})
	}
}

// When a session ends, so do its tunnels and event streams, at both sides. Downloads go on.
func TestVisitEnds(t *testing.T) {
	t.Parallel()
	gone := make(chan string, 1)
	release := make(chan struct{})
	target := rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
		switch path := strings.Fields(head)[1]; path {
		case "/socket":
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		case "/events":
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\nhello")
		case "/download":
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello")
			<-release
			io.WriteString(conn, "world")
			return
		}
		io.Copy(io.Discard, r)
		gone <- "gone"
	})
	hello := func(t *testing.T, body io.Reader) {
		t.Helper()
		if _, err := io.ReadFull(body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(t *testing.T, s *sidecar) {
		t.Helper()
		if line := s.line(t); line["refused"] != "the session has ended" || line["error"] != nil || line["client_left"] != nil {
			t.Errorf("line %v", line)
		}
	}
	for path, fields := range map[string]string{"/socket": "Connection: Upgrade\r\nUpgrade: websocket\r\n", "/events": "", "/download": ""} {
		for name, already := range map[string]bool{"": false, ", ended already": true} {
			for _, way := range []string{"net/http", "fast", "HTTP2"} {
				if way == "HTTP2" && path == "/socket" || already && path != "/socket" {
					continue
				}
				// Not in parallel: gone is for one at a time.
				t.Run(path[1:]+"/"+way+name, func(t *testing.T) {
					ended := make(chan struct{})
					s := start(t, target, options{visit: &middleware.Visit{Ended: endsWith(ended)}})
					var body io.Reader
					if way == "HTTP2" {
						res, err := s.client(t, true).Get("https://example.com" + path)
						if err != nil {
							t.Fatal(err)
						}
						body = res.Body
					} else {
						if already {
							close(ended)
						}
						conn := s.dial(t)
						if way == "fast" {
							conn = s.dialFast(t)
						}
						io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: example.com\r\n"+fields+"\r\n")
						r := bufio.NewReader(conn)
						if already {
							io.ReadAll(r)
							await(t, gone, "end at the website")
							refused(t, s)
							return
						}
						res, err := http.ReadResponse(r, nil)
						if err != nil {
							t.Fatal(err)
						}
						if body = res.Body; path == "/socket" {
							body = r
						}
					}
					hello(t, body)
					close(ended)
					if path == "/download" {
						go func() { release <- struct{}{} }()
						if rest, err := io.ReadAll(body); string(rest) != "world" || err != nil {
							t.Errorf("got %q, %v", rest, err)
						}
						return
					}
					rest, err := io.ReadAll(body)
					if len(rest) > 0 || err == nil && path == "/events" {
						t.Errorf("got %q, %v", rest, err)
					}
					await(t, gone, "end at the website")
					refused(t, s)
				})
			}
		}
	}
}

// A session that ends after its tunnel or event stream changes nothing, and one that does
// not end ends nothing.
func TestVisitOutlivesItsStream(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
	})
	for _, ended := range []func(context.Context) <-chan struct{}{nil, endsWith(nil)} {
		s := start(t, target, options{visit: &middleware.Visit{Ended: ended}})
		both(t, func(t *testing.T, http2 bool) {
			for range 3 {
				if _, body := get(t, s.client(t, http2), "https://example.com/"); body != "data: 1\n\n" {
					t.Errorf("got %q", body)
				}
				if line := s.line(t); line["refused"] != nil || line["aborted"] != nil {
					t.Errorf("line %v", line)
				}
			}
		})
	}
}
