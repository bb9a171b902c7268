package middleware

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/errorpage"
)

// DefaultIdle is how long a client may keep us waiting for the next bytes of a
// body, in either direction.
const DefaultIdle = time.Minute

// Config is what the chain needs. The zero value trusts no proxy.
type Config struct {
	Trust Trust            // proxies whose X-Forwarded-For and X-Forwarded-Proto are used
	Now   func() time.Time // for durations in the log; nil: time.Now
	Rand  io.Reader        // for request ids; nil: crypto/rand.Reader
	Log   zerolog.Logger   // one line a request
	// FailuresOnly leaves out the lines of requests that were served without a failure.
	FailuresOnly bool
	Idle         time.Duration // longest wait between two reads or two writes of a body; 0: DefaultIdle
	Observe      func(Served)  // is called for each request when it is over; may be nil
}

// New returns the whole chain. From the outside in: the Record, the access log,
// the limits, recovery, refusals. Recovery stands inside the access log so that the line
// tells the status that the client got.
func New(cfg Config) func(http.Handler) http.Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Served) {}
	}
	return func(next http.Handler) http.Handler {
		next = recovered(cfg.Log, refused(next))
		next = limited(cfg.Idle, next)
		next = logged(cfg.Log, cfg.FailuresOnly, cfg.Now, cfg.Observe, next)
		return keepRecord(cfg.Trust, cfg.Rand, cfg.Log, next)
	}
}

// refused answers the requests that the server found malformed.
func refused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why := ConnectionOf(r.Context()).refusal(r)
		if why == nil {
			next.ServeHTTP(w, r)
			return
		}
		rec := FromContext(r.Context())
		rec.Refused, rec.Handler = why.Reason, "edge"
		errorpage.Write(w, r, errorpage.Page{Status: http.StatusBadRequest, Code: why.Code, RequestID: rec.ID})
	})
}

// recovered answers with a page when a handler panics, and logs the stack.
// http.ErrAbortHandler asks for the connection to be cut, and goes through.
func recovered(log zerolog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(value)
			}
			rec := FromContext(r.Context())
			rec.Fail(fmt.Errorf("panic: %v", value), "this is a defect of the program; please report it with the stack")
			rec.Panic = true
			log.Error().Str("request_id", rec.ID).Str("panic", fmt.Sprint(value)).Bytes("stack", debug.Stack()).Msg("a handler panicked")
			if rec.begun {
				panic(http.ErrAbortHandler) // a cut answer must not look like a complete one
			}
			errorpage.Write(w, r, errorpage.Page{
				Status:    http.StatusInternalServerError,
				Code:      "internal",
				RequestID: rec.ID,
			})
		}()
		next.ServeHTTP(w, r)
	})
}
