package fast_test

import (
	"fmt"
	"strings"
	"testing"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/proxytest"
)

const last = "GET /last HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"

// ordinary are requests that are served without net/http, by what they are for.
func ordinary() []string {
	get := func(target string, fields ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + strings.Join(append(fields, "", ""), "\r\n")
	}
	var all []string
	for _, path := range []string{
		"/", "/a/b?c=d&e[]=f%20", "/%2f/..;x=1/*", "/status/204", "/status/304", "/status/404", "/status/999", "/chunked", "/interim",
		"/large", "/cut", "/cookies", "/%00", "/%5c", "/a%2fb?%00", "/own/size/0", "/own/size/1", "/own/size/2047", "/own/size/2048", "/own/size/2049", "/own/size/4096", "/own/size/60000",
		"/own/sizes", "/own/status/200", "/own/status/204", "/own/status/304", "/own/status/599", "/own/status/700", "/own/interim", "/own/flush",
		"/own/length", "/own/surplus", "/own/close", "/own/odd", "/own/encoded", "/own/panic", "/own/panic/late", "/own/seen?a=%20", "/own/none",
	} {
		all = append(all, get(path), strings.Replace(get(path), "GET", "HEAD", 1))
	}
	all = append(
		all,
		get("/own/seen", "x-MIXED-case: a ,b", "X-Two: 1", "x-two: 2", "Cookie: a=b; __Host-persona=c", "Empty:", "Accept-Language: de", "Via: 1.1 persona"),
		get("/mixed", "x-MIXED-case: a ,b", "X-Two: 1", "x-two: 2", "Cookie: a=b; __Host-persona=c", "Empty:", "X-Forwarded-For: 6.6.6.6", "Proxy: x"),
		get("/closed", "Connection: Close"), get("/kept", "Connection: Keep-Alive"), get("/p", "Pragma: no-cache", "Cache-Control: no-cache"),
		"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: EXAMPLE.com:443\r\n\r\n", "GET / HTTP/1.1\r\nHost: example.com:444\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", "OPTIONS /x HTTP/1.1\r\nHost: example.com\r\n\r\n", "BREW /x HTTP/1.1\r\nHost: example.com\r\n\r\n",
		get("/login", "Authorization: NTLM abc"), strings.Repeat(get("/pipelined"), 3),
	)
	for _, path := range []string{"/", "/status/204", "/status/304", "/status/404", "/chunked", "/interim", "/large", "/cut", "/cookies", "/secret"} {
		all = append(all, get(path+"?anna"), get(path+"?anna", "x-STAFF: root", "Remote-User: root", "X-Original-URL: /x", "Cookie: sid=1; a=b", "Via: 1.1 persona"),
			"POST "+path+"?anna HTTP/1.1\r\nHost: example.com\r\nX-HTTP-Method-Override: PUT\r\nContent-Length: 1\r\n\r\na")
	}
	for _, path := range []string{"/x", "/own/read", "/own/half", "/own/shut", "/own/duplex", "/own/none", "/own/close", "/own/seen", "/own/panic", "/status/413"} {
		for _, size := range []int{0, 1, 100, 5000, 100_000, 400_000} {
			if size < 400_000 || path == "/own/none" { // closing behind what is not read takes half a second
				all = append(all, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", path, size, strings.Repeat("b", size)))
			}
		}
	}
	for _, path := range []string{"/x", "/own/read"} {
		all = append(all, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: example.com\r\nContent-Length: 900\r\n\r\ncut", path))
	}
	return all
}

// special are requests that are handed over.
func special() []string {
	var all []string
	for _, fields := range []string{
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "Connection: x-a\r\nX-A: 1\r\n",
		"Upgrade: websocket\r\nConnection: Upgrade\r\n", "TE: trailers\r\n", "Trailer: X\r\n", "X_Odd: 1\r\n", "X-High: caf\xe9\r\n", "X-Tab: a\tb\r\n",
		"Pragma: no-cache\r\n", "Content-Length: 03\r\n\r\nabc", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "Content-Length: +3\r\n\r\nabc", "Content-Length:\r\n",
		"Bare: lf\n", "A : b\r\n", " folded: c\r\n", "Keep-Alive: 5\r\n", "X: " + strings.Repeat("x", 20_000) + "\r\n", "X: " + strings.Repeat("x", 70_000) + "\r\n",
		"Connection: close, x\r\n", "X_Staff: root\r\n", "Connection: Remote-User, x-staff\r\n", "Transfer-Encoding: chunked\r\nTrailer: X-Staff\r\n\r\n3\r\nabc\r\n0\r\nX-Staff: root\r\n\r\n", "Connection: keep-alive\r\nConnection: close\r\n", "Host: example.com\r\n",
	} {
		if !strings.Contains(fields, "\r\n\r\n") || strings.HasSuffix(fields, "0\r\n") {
			fields += "\r\n"
		}
		all = append(all, "POST /own/seen HTTP/1.1\r\nHost: example.com\r\n"+fields)
	}
	for _, line := range []string{
		"GET http://example.com/ HTTP/1.1", "GET /a|b HTTP/1.1", "GET //x HTTP/1.1", "GET /caf\xe9 HTTP/1.1", "GET /%zz HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1",
		"get / HTTP/1.1", "GET / HTTP/1.0", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP/2.0", "GET /#a HTTP/1.1", "GET /[a] HTTP/1.1", "\r\nGET / HTTP/1.1", "GET / HTTP/1.1\r", "nonsense",
	} {
		all = append(all, line+"\r\nHost: example.com\r\n\r\n")
	}
	return append(all, "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET / HTT", "\x16\x03\x01", "GET / HTTP/1.1\r\nHost: example.com\n\n")
}

// both returns the two ways, in front of the same website, for the hosts of the corpus.
func both(t testing.TB) (direct, other *way, corpus []string) {
	t.Helper()
	entries, err := conformance.Requests()
	if err != nil {
		t.Fatal(err)
	}
	gated, err := conformance.Gated()
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, gated...)
	hosts := []string{"example.com"}
	for _, e := range entries {
		if !e.Over("h2") && e.Fields["reaches"] != "cut" { // whether the cut or the end is seen first is chance
			hosts = append(hosts, e.Host())
			corpus = append(corpus, e.Text("send"))
		}
	}
	certificate, _ := proxytest.Certificate()
	return newWay(t, true, certificate, hosts), newWay(t, false, certificate, hosts), corpus
}

// TestBothWays: nothing that comes over a connection shows which way served it.
func TestBothWays(t *testing.T) {
	t.Parallel()
	direct, other, corpus := both(t)
	check := func(parts ...string) {
		t.Helper()
		if d := difference(direct.send(t, parts...), other.send(t, parts...)); d != "" {
			t.Errorf("%.300q: %s", parts, d)
		}
	}
	for _, request := range ordinary() {
		before := direct.direct.Load()
		check(request, last)
		if direct.direct.Load() == before {
			t.Errorf("%.300q was handed over", request)
		}
		check(request + last)                                 // pipelined
		check(request[:1], request[1:20], request[20:], last) // in parts
	}
	for _, request := range special() {
		before := direct.direct.Load()
		check(request, last)
		check(request[:len(request)/2], request[len(request)/2:]+last)
		if direct.direct.Load() != before {
			t.Errorf("%.300q was not handed over", request)
		}
		check(last[:10]+"?again"+last[10:len(last)-len("Connection: close\r\n\r\n")]+"\r\n", request, last) // behind another
	}
	before := direct.direct.Load()
	for _, request := range corpus {
		check(request, last)
		if len(request) < 60_000 { // net/http counts what it has read ahead, or does not
			check(strings.Replace(last, "close", "keep-alive", 1)+request, last)
		}
	}
	if served := direct.direct.Load() - before; served < int64(len(corpus)) {
		t.Errorf("%d requests of the corpus and beside it were served without net/http", served)
	}
}

// FuzzBothWays does so for anything.
func FuzzBothWays(f *testing.F) {
	direct, other, corpus := both(f)
	for _, request := range append(append(ordinary(), special()...), corpus...) {
		if len(request) < 2000 {
			f.Add([]byte(request))
		}
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		parts := []string{string(request), last}
		ours, theirs := direct.send(t, parts...), other.send(t, parts...)
		if n := int(ours.direct); ours.served > ours.direct { // what follows was served by the same code
			ours, theirs = outcome{log: ours.log[:n]}, outcome{log: theirs.log[:min(n, len(theirs.log))]}
		}
		if d := difference(ours, theirs); d != "" {
			t.Errorf("%q: %s", request, d)
		}
	})
}
