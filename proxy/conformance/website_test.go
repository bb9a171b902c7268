package conformance_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
)

// website is a scripted website. It keeps every byte that reaches it, and answers each request with a page that names the
// request's method and target, so that a page that reaches another request is seen.
type website struct {
	listener net.Listener
	address  string
	kind     string             // of an entry, by its key "website"; "early" answers before it reads a body
	scripts  map[string]*script // by target, what it answers in place of a page; nil: pages alone

	mu      sync.Mutex
	changed *sync.Cond
	conns   []*visit
	open    int
}

// visit is one connection to a website.
type visit struct {
	client   string // address
	raw      bytes.Buffer
	requests []request
	ended    bool  // by the other side
	fault    error // why its bytes are no requests
}

// page is the body of a website's answer to a request of this method and target.
func page(asked string) string { return "page of " + asked }

// newWebsite opens a website's port until the test ends. It answers from run on.
func newWebsite(t testing.TB) *website {
	t.Helper()
	listener := proxytest.Listen(t)
	w := &website{listener: listener, address: listener.Addr().String()}
	w.changed = sync.NewCond(&w.mu)
	return w
}

// run serves connections until the port is closed.
func (w *website) run() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		v := &visit{client: conn.RemoteAddr().String()}
		w.update(func() {
			w.conns = append(w.conns, v)
			w.open++
		})
		go func() {
			defer w.update(func() {
				v.ended = true
				w.open--
			})
			defer conn.Close()
			w.serve(conn, v)
		}()
	}
}

func (w *website) update(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.changed.Broadcast()
}

// keeper is a writer that keeps what is read from a connection.
type keeper func([]byte)

func (keep keeper) Write(p []byte) (int, error) {
	keep(p)
	return len(p), nil
}

func (w *website) serve(conn net.Conn, v *visit) {
	in := bufio.NewReader(io.TeeReader(conn, keeper(func(p []byte) { w.update(func() { v.raw.Write(p) }) })))
	if w.scripts != nil {
		w.follow(conn, v, in)
		return
	}
	for {
		r, err := readHead(in)
		if errors.Is(err, errEnd) {
			return
		}
		keep := func() { w.update(func() { v.requests = append(v.requests, r) }) }
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(page(r.asked())), page(r.asked()))
		if err == nil && slices.Contains(r.fields, field{"expect", "100-continue"}) {
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if err == nil && w.kind == "early" {
			keep()
			_, _ = io.WriteString(conn, answer)
			err = r.readBody(in)
			r.cut = errors.Is(err, errCut)
			w.update(func() { v.requests[len(v.requests)-1] = r })
		} else {
			if err == nil {
				err = r.readBody(in)
			}
			r.cut = errors.Is(err, errCut)
			keep()
		}
		switch {
		case errors.Is(err, errCut):
			return
		case err != nil:
			w.update(func() { v.fault = err })
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, in) // what it sends is kept
			return
		case w.kind != "early":
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

// wait waits until a condition of the website holds, and reports whether it did.
func (w *website) wait(patience time.Duration, holds func() bool) bool {
	late := false
	timer := time.AfterFunc(patience, func() { w.update(func() { late = true }) })
	defer timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !holds() && !late {
		w.changed.Wait()
	}
	return holds()
}

// reached returns what came, of all connections, once they are closed.
func (w *website) reached(t testing.TB) (requests []request, faults []string, raw string) {
	t.Helper()
	last, err := net.Dial("tcp", w.address) // connections are accepted in their order: this one behind all others
	if err != nil {
		t.Fatal(err)
	}
	last.Close()
	seen := func() bool {
		return slices.ContainsFunc(w.conns, func(v *visit) bool { return v.client == last.LocalAddr().String() })
	}
	if !w.wait(proxytest.Patience, func() bool { return w.open == 0 && seen() }) {
		t.Fatalf("connections to the website at %s stay open after the program ended", w.address)
	}
	for _, v := range w.conns {
		requests = append(requests, v.requests...)
		raw += v.raw.String()
		if v.fault != nil {
			faults = append(faults, fmt.Sprintf("the website got what servers may read differently: %v in %q", v.fault, v.raw.String()))
		}
	}
	return requests, faults, raw
}
