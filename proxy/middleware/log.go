package middleware

import (
	"bytes"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Numbers of bytes at which foreign text is cut in the log.
const (
	maxLoggedHost      = 255
	maxLoggedPath      = 1024
	maxLoggedUserAgent = 100
)

// statusLeft is what the log gives for a client that went away before an answer
// was begun, as nginx does. It is never sent.
const statusLeft = 499

// Served is what is counted about a request when it is over. It says nothing about
// persons, and each of its texts is one of a few.
type Served struct {
	Site     string        // name of the site, "" for an unknown host
	Handler  string        // name of the intercept or handler that answered, "" for none
	Status   int           // as the access log gives it, 499 when the client went away before the answer
	Upgraded bool          // the connection became a websocket or the like, and Took is how long it lasted
	Took     time.Duration // from the first byte of the request to the last of the answer
}

// logged writes one line when the request is over, unless it was served without a
// failure and failuresOnly is set, and calls observe. For an upgraded connection
// that is when the connection ends.
func logged(log zerolog.Logger, failuresOnly bool, now func() time.Time, observe func(Served), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		room := roomOf(r.Context())
		rec, res := &room.rec, &room.res
		begin := now()
		*res = response{ResponseWriter: w, rec: rec}
		var body *countedBody
		if r.Body != nil && r.Body != http.NoBody {
			body = &countedBody{ReadCloser: r.Body}
			r.Body = body
		}
		finished := false
		defer func() {
			over := line{rec: rec, res: res, body: body, cut: !finished, took: now().Sub(begin)}
			status := over.status()
			if level := over.level(); level > zerolog.InfoLevel || !failuresOnly {
				over.write(log.WithLevel(level), r, status)
			}
			observe(Served{
				Site: rec.Site, Handler: rec.Handler, Status: status,
				Upgraded: status == http.StatusSwitchingProtocols, Took: over.took,
			})
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

func (l line) write(event *zerolog.Event, r *http.Request, status int) {
	if event == nil {
		return
	}
	out, in := l.res.written, int64(0)
	if l.res.conn != nil {
		out += l.res.conn.out.Load()
		in = l.res.conn.in.Load()
	}
	if l.body != nil {
		in += l.body.n.Load()
	}
	path := l.rec.Target.Path // without the query: it may hold what is private
	if !l.rec.Target.Valid() {
		path = r.RequestURI
		if !strings.HasPrefix(path, "/") { // a name and a password may stand in front of the host
			path = path[strings.LastIndexByte(path, '@')+1:]
		}
		path = path[:strings.IndexAny(path+"#", "?#")]
	}
	event.
		Str("method", cut(r.Method, maxLoggedUserAgent)).
		Str("host", cut(r.Host, maxLoggedHost)).
		Str("path", cut(path, maxLoggedPath)).
		Str("proto", r.Proto).
		Int("status", status).
		Int64("bytes_out", out).
		Int64("bytes_in", in).
		Float64("duration_ms", float64(l.took.Microseconds())/1000).
		Str("request_id", l.rec.ID).
		Str("site", l.rec.Site).
		Str("handler", l.rec.Handler).
		Str("user_agent", cut(r.UserAgent(), maxLoggedUserAgent))
	if l.rec.Address != "" {
		event.Str("client", l.rec.Address)
	}
	if l.rec.Refused != "" {
		event.Str("refused", cut(l.rec.Refused, maxLoggedHost))
	}
	if l.clientLeft() {
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

// clientLeft reports whether the client went away before the end of the answer.
func (l line) clientLeft() bool {
	return l.rec.Left || l.cut && l.rec.Cause == nil && l.rec.Refused == ""
}

func (l line) level() zerolog.Level {
	switch {
	case l.rec.Panic:
		return zerolog.ErrorLevel
	case l.rec.Cause != nil:
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}

func (l line) status() int {
	switch {
	case l.res.status != 0:
		return l.res.status
	case l.clientLeft():
		return statusLeft
	}
	return http.StatusOK // the handler wrote nothing: net/http answers so
}

// cut shortens foreign text to a number of bytes, and a character that it would cut
// through less. What is not printable is the log writer's concern.
func cut(s string, length int) string {
	if len(s) <= length {
		return s
	}
	return strings.ToValidUTF8(s[:length], "") + "…"
}

// ErrorLog returns a logger for http.Server and httputil.ReverseProxy. What they
// report is nearly always caused by clients (a failed handshake, a client that
// left), so it goes to debug; a panic is an error.
func ErrorLog(to zerolog.Logger, component string) *log.Logger {
	return log.New(bridge{to.With().Str("component", component).Logger()}, "", 0)
}

type bridge struct{ log zerolog.Logger }

func (b bridge) Write(line []byte) (int, error) {
	level := zerolog.DebugLevel
	if bytes.HasPrefix(line, []byte("http: panic ")) {
		level = zerolog.ErrorLevel
	}
	b.log.WithLevel(level).Msg(string(bytes.TrimSpace(line)))
	return len(line), nil
}
