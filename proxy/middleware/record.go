package middleware

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Record is what is known about one request. The middleware makes it, inner
// layers add to it (Site, Handler, Left, Fail), and the access log is written from
// it when the request is over.
//
// A Record belongs to the goroutine that serves its request.
type Record struct {
	Host    string     // canonical host name asked for; "" when it is missing or not valid
	Target  Target     // what is asked of the host; zero when it is malformed
	ID      string     // request id, passed on to the website as X-Request-Id
	Client  netip.Addr // the client's address, as trusted proxies give it; zero when unknown
	Address string     // the text of Client
	Scheme  string     // "http" or "https", as the client spoke it
	Trusted bool       // the connection came from a trusted proxy
	Listed  bool       // and one that is named by its address, not one that is only private

	// Refused is why the request was refused, or its answer ended, though nothing of ours
	// or of the website has failed; "" when it was not. For the log alone.
	Refused string

	// StrictTransport is the Strict-Transport-Security of the host, which every answer
	// carries that is not stricter by itself; "" for none.
	StrictTransport string

	Site    string // name of the site that the Host belongs to, "" for an unknown host
	Handler string // name of the intercept or handler that answered

	// Visit is what the site's gate found out about the person; nil without a gate.
	Visit *Visit

	Cause error  // why the request failed; for the log alone, never for the client
	Hint  string // what the operator can do about Cause
	Left  bool   // the client went away before the answer was complete
	Panic bool   // a handler panicked; Cause carries the value

	begun bool        // something of the answer was written
	slow  atomic.Bool // the client was cut off in the middle of its body
}

// Visit is what a website is told of the person at a request, and what goes with the
// answer because of that.
type Visit struct {
	Fields     []VisitField // identity fields for the website; none: anonymous
	Hidden     []string     // names of further cookies of the request that the website does not get
	SetCookies []string     // Set-Cookie lines that are added to the answer
	Private    bool         // no shared cache may keep the answer
	// Ended returns a channel that is closed when the session ends: tunnels and event streams end with
	// it. The session is watched until the context ends, so call it for them alone. nil: they do not end.
	Ended func(context.Context) <-chan struct{}
}

// VisitField is a field of a request.
type VisitField struct{ Name, Value string }

// Context is the context of a request with the Record, and with room for all else that the
// chain keeps for the time of a request: one piece of memory in place of many. A server may
// make one for each request, as its context or as a part of it, and so save the copy of the
// request that is made otherwise.
type Context struct {
	context.Context             // with the values of the connection
	Connection      *Connection // as WithConnection; may be nil

	rec   Record
	res   response
	paced pacedWriter
}

type contextKey struct{}

// Value implements context.Context.
func (c *Context) Value(key any) any {
	switch {
	case key == contextKey{}:
		return c
	case key == connectionKey{} && c.Connection != nil:
		return c.Connection
	}
	return c.Context.Value(key)
}

func (c *Context) room() *Context { return c }

// roomOf returns the Context that ctx is or was made from, a new one if there is none.
func roomOf(ctx context.Context) *Context {
	if c, ok := ctx.(interface{ room() *Context }); ok {
		return c.room()
	}
	if c, ok := ctx.Value(contextKey{}).(*Context); ok {
		return c
	}
	return new(Context)
}

// FromContext returns the Record of the request that ctx belongs to. Outside
// the middleware it returns an empty Record, never nil.
func FromContext(ctx context.Context) *Record { return &roomOf(ctx).rec }

// Fail records why the request could not be served and what the operator can do
// about it. The first cause stands.
func (rec *Record) Fail(cause error, hint string) {
	if rec.Cause == nil {
		rec.Cause, rec.Hint = cause, hint
	}
}

// SlowBody reports whether reading the request's body was ended because the
// client sent nothing for too long. The request's context is then done as well,
// though the client may still be there.
func (rec *Record) SlowBody() bool { return rec.slow.Load() }

// HostName returns the canonical host name that a request asks for, "" when it
// is not valid.
func HostName(r *http.Request) string { return FromContext(r.Context()).Host }

// ClientAddr is the client's address of a request, zero when it is not known.
func ClientAddr(r *http.Request) netip.Addr { return FromContext(r.Context()).Client }

// RequestID is the id of a request, "" outside the middleware.
func RequestID(r *http.Request) string { return FromContext(r.Context()).ID }

// keepRecord fills the Record in the request's context. Where the server has not made
// room for one, the layers behind it get a request of their own, which they may change:
// net/http goes on looking at the one that it made.
func keepRecord(trust Trust, random io.Reader, log zerolog.Logger, next http.Handler) http.Handler {
	doubts := log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Hour})
	ids := &requestIDs{random: random}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := originOf(r, trust)
		if o.doubtful {
			doubts.Warn().Str("proxy", r.RemoteAddr).Stringer("client", o.client).
				Str("hint", "list the address of your proxy in trusted_proxies instead of the word private: else every machine of your networks chooses the address that is logged and throttled").
				Msg("a proxy that is trusted only for its private address names a private client")
		}
		ctx, ok := r.Context().(interface{ room() *Context })
		if !ok {
			room := &Context{Context: r.Context()}
			ctx, r = room, r.WithContext(room)
		}
		rec := &ctx.room().rec
		rec.Host = CanonicalHost(r.Host)
		rec.Target = parseTarget(r)
		rec.ID = ids.of(r, o.listed)
		rec.Client, rec.Address, rec.Scheme, rec.Trusted, rec.Listed = o.client, o.address, o.scheme, o.trusted, o.listed
		next.ServeHTTP(w, r)
	})
}

// maxRequestID bounds the length of a request id that a listed proxy sends.
const maxRequestID = 128

// requestIDs makes the ids of requests. It reads random bytes for many at a time.
type requestIDs struct {
	random io.Reader

	mu   sync.Mutex
	buf  [32 * 16]byte
	left []byte // of buf, not used yet
}

// of takes over the id that a listed proxy gave, so that its log and
// ours can be read together, and makes one otherwise: 32 hexadecimal digits.
func (s *requestIDs) of(r *http.Request, listed bool) string {
	if given := r.Header["X-Request-Id"]; listed && len(given) == 1 && wellFormedID(given[0]) {
		return given[0]
	}
	id, err := s.next()
	if err != nil {
		return "unknown" // a request is served without an id rather than not at all
	}
	var text [2 * len(id)]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

func (s *requestIDs) next() (id [16]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		n, err := io.ReadAtLeast(s.random, s.buf[:], len(id))
		if err != nil {
			return id, err
		}
		s.left = s.buf[:n-n%len(id)]
	}
	s.left = s.left[copy(id[:], s.left):]
	return id, nil
}

func wellFormedID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
