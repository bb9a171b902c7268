package limit

import (
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/errorpage"
	"persona-sidecar/proxy/middleware"
)

// A request counts once in the sum, and more the more memory it can make the
// program hold.
const (
	bodyWeight = 9        // more for a body, which may never come
	unit       = 16 << 10 // bytes of fields, and of a body that is not read, that count once more
	fieldSize  = 64       // bytes that a field takes beside its text
)

// retryAfter is when a refused client should come again.
const retryAfter = 5 * time.Second

// unsent is how many answers over HTTP/2 may wait for their clients to take them
// without being counted.
const unsent = 512

// Requests bounds the requests in flight. An event stream and an upgraded
// connection are in flight for as long as they last.
type Requests struct {
	log     zerolog.Logger
	refused func(what, bound string)
	window  int64
	open    func() int

	mu     sync.Mutex
	shares shares
}

// NewRequests returns Requests without bounds; see Set. window is how many bytes
// of a body an HTTP/2 server keeps that were not read yet, connections are those that
// requests come on.
func NewRequests(cfg Config, window int64, connections *Connections) *Requests {
	if cfg.Refused == nil {
		cfg.Refused = func(string, string) {}
	}
	return &Requests{
		log:     cfg.Log.Sample(&zerolog.BurstSampler{Burst: warnings, Period: time.Minute}),
		refused: cfg.Refused,
		window:  window,
		open:    connections.Open,
		shares:  shares{held: map[netip.Prefix]held{}},
	}
}

// Set changes the bounds, for requests that come from then on.
func (r *Requests) Set(b Bounds) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shares.bounds = b
}

// InFlight is how much of the sum is taken.
func (r *Requests) InFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shares.used
}

// Handler passes on what the bounds allow, and answers the rest with a page: 429
// where the client has too much in flight (RFC 6585, section 4), 503 where all have.
// It stands behind the middleware, whose Record names the client.
func (r *Requests) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rec := middleware.FromContext(req.Context())
		network, weight := clientOf(req, rec), r.weigh(req)
		r.mu.Lock()
		bound := r.shares.take(network, weight, true)
		limit, has := r.shares.bounds.Sum, r.shares.held[network].count
		r.mu.Unlock()
		stalled := req.ProtoMajor >= 2 && r.stalled()
		if bound == "" {
			defer func() {
				r.mu.Lock()
				r.shares.give(network, weight)
				r.mu.Unlock()
			}()
			next.ServeHTTP(w, req)
			if stalled {
				middleware.Settle(w)
			}
			return
		}
		r.refuse(w, req, bound, stalled, network, limit, has)
	})
}

// refuse answers a request that a bound is in the way of. limit is the bound of the sum,
// has what the client has.
func (r *Requests) refuse(w http.ResponseWriter, req *http.Request, bound string, stalled bool, network netip.Prefix, limit, has int) {
	r.refused("request", bound)
	rec := middleware.FromContext(req.Context())
	rec.Handler = "limit"
	page := errorpage.Page{Status: http.StatusTooManyRequests, Code: "too_many", RetryAfter: retryAfter, RequestID: rec.ID}
	if bound == boundSum {
		page.Status, page.Code = http.StatusServiceUnavailable, "overloaded"
		r.log.Warn().Int("limit", limit).
			Str("hint", "raise limits.requests if there is memory for more; if the website is slow, look there first").
			Msg("too many requests at once")
	} else {
		r.log.Warn().Stringer("client", network).Int("requests", has).
			Str("hint", "if this is a proxy of yours, list it in trusted_proxies; if many people share this address, raise limits.requests_per_client and limits.requests").
			Msg("a client has too many requests at once")
	}
	if stalled { // a head alone waits for no client
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(page.Status)
		return
	}
	errorpage.Write(w, req, page)
}

// stalled reports whether many answers wait for clients that do not take them. A
// handler may return before its answer is sent: net/http keeps the end of it, and with
// it the goroutine and all that the request holds, for as long as an HTTP/2 client
// opens no window. Only the number of goroutines shows that. While there are more than
// connections and requests account for, answers are sent before requests are over,
// which costs an ordinary one a frame more.
func (r *Requests) stalled() bool {
	r.mu.Lock()
	requests := r.shares.count
	r.mu.Unlock()
	return runtime.NumGoroutine() > unsent+requests+2*r.open()
}

// clientOf returns the network that a request is counted for. A trusted proxy that
// names no client is counted in the sum alone.
func clientOf(req *http.Request, rec *middleware.Record) netip.Prefix {
	if rec.Trusted {
		if peer, err := netip.ParseAddrPort(req.RemoteAddr); err != nil || peer.Addr().Unmap().WithZone("") == rec.Client {
			return netip.Prefix{}
		}
	}
	return networkOf(rec.Client)
}

// weigh returns what a request counts.
func (r *Requests) weigh(req *http.Request) int {
	// HTTP/2 lets a client repeat a field for a byte each (RFC 7541, section 6.1). What
	// that costs is the list of values, and for cookies their text, which the server
	// puts together anew (RFC 9113, section 8.2.3).
	size := 0
	for _, values := range req.Header {
		size += len(values) * fieldSize
	}
	for _, cookies := range req.Header["Cookie"] {
		size += len(cookies)
	}
	weight := 1 + size/unit
	if req.ContentLength == 0 { // HTTP/2 servers give every request a Body
		return weight
	}
	weight += bodyWeight
	if req.ProtoMajor >= 2 {
		unread := r.window
		if req.ContentLength >= 0 {
			unread = min(unread, req.ContentLength)
		}
		weight += int(unread / unit)
	}
	return weight
}
