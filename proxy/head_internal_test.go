package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/wire"
)

// A client that has sent more behind an upgrade than a head may be long has it handed on;
// when the upgrade is refused then, what is left of it is no request.
func TestMuchBehindUpgrade(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	const head, next = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
	go io.WriteString(client, head+strings.Repeat(next, 100))
	c := &headConn{Conn: server, maxHead: 1000}
	got := make([]byte, len(head))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != head {
		t.Fatalf("%q %v", got, err)
	}
	if n, err := c.Read(got[:1]); n != 1 || err != nil { // as net/http does while it serves a request
		t.Fatal(n, err)
	}
	c.enter(http.StateIdle)
	if n, err := c.Read(got); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q %v", got[:n], err)
	}
}

func BenchmarkHead(b *testing.B) {
	head := []byte("GET /index.html?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nCookie: a=b; c=d\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if end := wire.SectionEnd(head, 0); end != len(head) {
			b.Fatal(end)
		}
		if _, err := readHead(head); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzHead: a head that is let through is one to net/http too, with the same body, or is
// refused by it; and a refusal is always a request that net/http takes.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /?x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\nT: 1\r\n\r\n",
		"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
		"GET http://a/%zz HTTP/1.1\r\nHost: b\r\n x: y\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	corpus, err := conformance.Requests()
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range corpus {
		if text := e.Text("send"); !e.Over("h2") && len(text) < 8<<10 { // long ones take long
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		end := wire.SectionEnd(p, 0)
		if end == 0 {
			return
		}
		head, err := readHead(p[:end])
		if err != nil {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(refusal(p[:end]))))
			if err != nil || r.RequestURI != "*" || r.ContentLength != 0 || !r.Close || r.Method == http.MethodOptions {
				t.Fatalf("%q is replaced by %q: %v", p[:end], refusal(p[:end]), err)
			}
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
		if err != nil && !head.foreign && strings.Contains(err.Error(), "invalid URI") {
			t.Fatalf("%q: %v", p[:end], err)
		}
		if err != nil || head.foreign {
			return
		}
		if want := len(r.TransferEncoding) == 1; head.chunked != want || !want && head.length != r.ContentLength {
			t.Fatalf("%q: %+v, net/http has a body of %d bytes, %v", p[:end], head, r.ContentLength, r.TransferEncoding)
		}
		if !head.chunked {
			return
		}
		// What net/http takes for a whole body ends where it ends here.
		source := bufio.NewReader(bytes.NewReader(p[end:]))
		whole, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(p[:end]), source)))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, whole.Body); err != nil {
			return
		}
		n, ended, err := new(chunks).follow(p[end:])
		if err == nil && !ended {
			t.Fatalf("%q: the body goes on behind %d bytes", p, n)
		}
	})
}
