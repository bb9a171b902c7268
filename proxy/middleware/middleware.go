package middleware

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"
)

// DefaultIdle is how long a client may keep us waiting for the next bytes of a
// body, in either direction.
const DefaultIdle = time.Minute

// Config is what the chain needs. The zero value trusts nobody.
type Config struct {
	Trusted []netip.Prefix   // proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are believed
	Now     func() time.Time // for durations in the log; nil: time.Now
	Rand    io.Reader        // for request ids; nil: crypto/rand.Reader
	Log     zerolog.Logger   // one line a request
	Idle    time.Duration    // longest wait between two reads or two writes of a body; 0: DefaultIdle
	Observe func(Served)     // is told about each request when it is over; nil: nobody is
}

// New returns the whole chain. From the outside in: the Record, the access log,
// the limits, recovery. Recovery stands inside the access log so that the line
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
		next = recovered(cfg.Log, next)
		next = limited(cfg.Idle, next)
		next = logged(cfg.Log, cfg.Now, cfg.Observe, next)
		return keepRecord(cfg.Trusted, cfg.Rand, next)
	}
}
