package middleware

import (
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Lengths at which foreign text is cut in the log.
const (
	maxLoggedHost      = 255
	maxLoggedPath      = 1024
	maxLoggedUserAgent = 100
)

// statusLeft is what the log gives for a client that went away before an answer
// was begun, as nginx does. It is never sent.
const statusLeft = 499

// logged writes one line, and tells observe, when the request is over. For an upgraded connection
// that is when the connection ends.
func logged(log zerolog.Logger, now func() time.Time, observe func(Served), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := FromContext(r.Context())
		begin := now()
		res := &response{ResponseWriter: w, rec: rec}
		body := countBody(r)
		finished := false
		defer func() {
			over := line{rec: rec, res: res, body: body, cut: !finished, took: now().Sub(begin)}
			over.write(log, r)
			observe(over.served())
		}()
		next.ServeHTTP(res, r)
		finished = true
	})
}

// line is one request in the access log.
type line struct {
	rec  *Record
	res  *response
	body *countedBody
	cut  bool // the handler ended by a panic: the connection was cut
	took time.Duration
}

func (l line) write(log zerolog.Logger, r *http.Request) {
	left := l.clientLeft()
	event := log.WithLevel(l.level())
	if event == nil {
		return
	}
	path := l.rec.Target.Path // without the query: it may hold what is private
	if !l.rec.Target.Valid() {
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	event.
		Str("method", cut(r.Method, maxLoggedUserAgent)).
		Str("host", cut(r.Host, maxLoggedHost)).
		Str("path", cut(path, maxLoggedPath)).
		Str("proto", r.Proto).
		Int("status", l.status(left)).
		Int64("bytes_out", l.res.bytesOut()).
		Int64("bytes_in", l.res.bytesIn()+l.body.count()).
		Float64("duration_ms", float64(l.took.Microseconds())/1000).
		Str("request_id", l.rec.ID).
		Str("site", l.rec.Site).
		Str("handler", l.rec.Handler).
		Str("user_agent", cut(r.UserAgent(), maxLoggedUserAgent))
	if l.rec.Client.IsValid() {
		event.Stringer("client", l.rec.Client)
	}
	if left {
		event.Bool("client_left", true)
	}
	if l.cut {
		event.Bool("aborted", true)
	}
	if l.rec.Cause != nil {
		event.AnErr("error", l.rec.Cause).Str("hint", l.rec.Hint)
	}
	event.Msg("request")
}

// clientLeft says that nobody was there any more for the end of the answer.
func (l line) clientLeft() bool { return l.rec.Left || l.cut && l.rec.Cause == nil }

func (l line) level() zerolog.Level {
	switch {
	case l.rec.Panic:
		return zerolog.ErrorLevel
	case l.rec.Cause != nil:
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}

func (l line) status(left bool) int {
	switch {
	case l.res.status != 0:
		return l.res.status
	case left:
		return statusLeft
	}
	return http.StatusOK // the handler wrote nothing: net/http answers so
}

func cut(s string, length int) string {
	if len(s) <= length {
		return s
	}
	return s[:length] + "…"
}
