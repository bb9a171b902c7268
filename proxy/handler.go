package proxy

import (
	"context"
	"net"
	"net/http"
	"sync"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// heads are those that net/http was given and has not called the handler for yet: more
// than one where a client sends requests ahead.
type heads struct {
	mu   sync.Mutex
	next []requestHead
}

func (s *heads) add(h requestHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, h)
}

// take returns the fields of a request, in the client's order and spelling.
func (s *heads) take(r *http.Request) wire.Fields {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.next) == 0 || s.next[0].method != r.Method || s.next[0].target != r.RequestURI {
		s.next = nil
		return nil // one that was put in the place of a malformed one
	}
	h := s.next[0]
	if s.next = s.next[1:]; len(s.next) == 0 {
		s.next = nil
	}
	return h.fields
}

type frontKey struct{}

// withFront returns the context of a connection that came from a front.
func withFront(ctx context.Context, conn net.Conn) (context.Context, *middleware.Connection) {
	client := new(middleware.Connection)
	if c, ok := conn.(*headConn); ok {
		if c.client == nil {
			c.client = client
		}
		client = c.client
		ctx = context.WithValue(ctx, frontKey{}, c)
	}
	return middleware.WithConnection(ctx, client), client
}

// seen gives requests what net/http does not see behind a *headConn, or does not keep:
// the state of their TLS connection, and their fields as they came.
func seen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor >= 2 && r.ContentLength == 0 {
			deepen(r.ProtoMajor)
		}
		if c, ok := r.Context().Value(frontKey{}).(*headConn); ok {
			if r.TLS == nil {
				r.TLS = c.tls
			}
			w = &spelled{w, c.seen.take(r)}
		}
		next.ServeHTTP(w, r)
	})
}

// spelled is a ResponseWriter that knows the fields of its request, see
// middleware.RequestFields.
type spelled struct {
	http.ResponseWriter
	fields wire.Fields
}

func (w *spelled) RequestFields() wire.Fields  { return w.fields }
func (w *spelled) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// deepen makes the stack of a goroutine as large as requests of a website need it: 8 KiB.
// HTTP/2 has a new goroutine for each, and growing its stack further inside costs more,
// because all frames on it are moved then, and moved twice. Requests with a body are left
// out: they need less while they wait for it, and may wait in numbers.
//
//go:noinline
func deepen(i int) byte {
	var room [5 << 10]byte
	return room[i%len(room)]
}
