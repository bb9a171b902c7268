package upstream

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// build makes the request that the website sees. The body is read by nothing yet.
func (p *Proxy) build(q *request, w http.ResponseWriter, r *http.Request, rec *middleware.Record) *requestBody {
	q.method, q.target, q.host = r.Method, rec.Target.String(), r.Host
	body := p.bodyOf(r)
	if body != nil {
		q.body, q.length = body, r.ContentLength
		if q.announce = body.announced; q.announce != nil {
			q.trailer = body.trailer
		}
		q.expect = body.http1 && r.ProtoAtLeast(1, 1) && field.HasToken(r.Header.Get("Expect"), "100-continue")
	}
	q.upgrade = asked(r)

	from := middleware.RequestFields(w)
	if from == nil {
		from = field.FromHeader(r.Header)
	}
	connection := r.Header["Connection"]
	te := slices.ContainsFunc(r.Header["Te"], func(line string) bool { return field.HasToken(line, "trailers") })
	cookies, identity := p.cookies, []middleware.VisitField(nil)
	if v := rec.Visit; v != nil {
		identity = v.Fields
		if len(v.Hidden) > 0 {
			cookies = slices.Concat(cookies, v.Hidden)
		}
	}
	const ours = 10 // fields are added below
	fields := make(wire.Fields, 0, len(from)+ours+len(identity))
	for _, f := range from {
		k := field.KindOf(f.Name)
		keep := p.admits(k, r.Method, rec) && !p.identity.Has(f.Name) && !field.Named(connection, f.Name)
		switch {
		case !keep:
		case field.Odd(f.Name):
			keep = p.oddNames && k != field.Edited
		case f.Is("Cookie"):
			f.Value, keep = cookies.stripRequest(f.Value)
		case f.Is("Expect"):
			keep = q.expect
		case k == field.Edited: // made below
			keep = false
		}
		if keep {
			fields = append(fields, f)
		}
	}
	for _, f := range identity {
		fields = append(fields, wire.Field{Name: f.Name, Value: f.Value})
	}
	via := "1.1 " + viaName
	switch {
	case r.ProtoMajor >= 2:
		via = "2.0 " + viaName
	case r.ProtoMinor == 0:
		via = "1.0 " + viaName
	}
	fields = append(fields, wire.Field{Name: "Via", Value: via})
	q.fields = appendForwarded(fields, r, rec)
	switch {
	case q.upgrade != "" && te:
		q.fields = append(q.fields, wire.Field{Name: "Connection", Value: "Upgrade, TE"})
	case q.upgrade != "":
		q.fields = append(q.fields, wire.Field{Name: "Connection", Value: "Upgrade"})
	case te:
		q.fields = append(q.fields, wire.Field{Name: "Connection", Value: "TE"})
	}
	if q.upgrade != "" {
		q.fields = append(q.fields, wire.Field{Name: "Upgrade", Value: q.upgrade})
	}
	if te {
		q.fields = append(q.fields, wire.Field{Name: "TE", Value: "trailers"})
	}
	return body
}

// admits reports whether fields of a kind go to the website.
func (p *Proxy) admits(k field.Kind, method string, rec *middleware.Record) bool {
	switch k {
	case field.Made:
		return false
	case field.Claimed:
		return rec.Listed
	case field.Rerouting:
		return !p.gated
	case field.Overriding:
		if !p.gated {
			return true
		}
		switch method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
			return false
		}
		return rec.Visit != nil && len(rec.Visit.Fields) > 0
	}
	return true
}

// asked returns the protocol that a request asks for by Upgrade, "" for none; the
// first when it names several. Upgrades to another version of HTTP or to TLS are
// taken out: behind them, requests would reach the website past everything that
// happens here (RFC 9113 has deprecated h2c for good). An upgrade over HTTP/2 does
// not exist, and one in HTTP/1.0 is ignored (RFC 9110, section 7.8).
func asked(r *http.Request) string {
	lines := r.Header["Upgrade"]
	if len(lines) == 0 || r.ProtoMajor != 1 || r.ProtoMinor == 0 ||
		!slices.ContainsFunc(r.Header["Connection"], func(line string) bool { return field.HasToken(line, "upgrade") }) {
		return ""
	}
	first := ""
	for _, line := range lines {
		for protocol := range strings.SplitSeq(line, ",") {
			protocol = strings.Trim(protocol, " \t")
			name, _, _ := strings.Cut(strings.ToLower(protocol), "/")
			switch name {
			case "h2c", "h2", "h3", "http", "tls":
				return ""
			}
			if first == "" {
				first = protocol
			}
		}
	}
	return first
}

// appendForwarded tells the website where the request came from, and how.
func appendForwarded(fields wire.Fields, r *http.Request, rec *middleware.Record) wire.Fields {
	port := "80"
	if rec.Scheme == "https" {
		port = "443"
	}
	if i := strings.LastIndexByte(r.Host, ':'); i >= 0 && i+1 < len(r.Host) && !strings.HasSuffix(r.Host, "]") {
		port = r.Host[i+1:]
	}
	fields = append(fields,
		wire.Field{Name: "X-Forwarded-Host", Value: r.Host},
		wire.Field{Name: "X-Forwarded-Proto", Value: rec.Scheme},
		wire.Field{Name: "X-Forwarded-Port", Value: port},
	)
	if rec.Address != "" {
		fields = append(fields, wire.Field{Name: "X-Forwarded-For", Value: rec.Address}, wire.Field{Name: "X-Real-IP", Value: rec.Address})
	}
	if rec.ID != "" {
		fields = append(fields, wire.Field{Name: "X-Request-ID", Value: rec.ID})
	}
	return fields
}

// viaName is what this program calls itself in Via (RFC 9110, section 7.6.3).
const viaName = "persona"

// maxPasses is how often a request may pass this program: more than any sensible
// row of proxies, and few enough to end a loop soon.
const maxPasses = 5

// passes counts how often a request has passed a program like this one.
func passes(r *http.Request) int {
	n := 0
	for _, line := range r.Header["Via"] {
		for element := range strings.SplitSeq(line, ",") {
			if words := strings.Fields(element); len(words) >= 2 && words[1] == viaName {
				n++
			}
		}
	}
	return n
}

// requestBody is a client's body. It remembers how reading it ended.
type requestBody struct {
	from      io.Reader
	http1     bool
	fields    http.Header // the trailer section; filled in when the body has been read to its end
	announced []string    // its fields that may stand there

	begin  [512]byte // what was read of it first
	unread []byte    // of begin
	err    error     // with which reading begin ended
	ended  atomic.Bool
	failed atomic.Pointer[error]
}

// bodyOf returns the body of a request, nil when it has none. Over HTTP/2 there is always something
// to read, and a length of zero that the client names may be wrong (RFC 9113, section 8.1.1): such a
// body is read to its end, which is an error then.
func (p *Proxy) bodyOf(r *http.Request) *requestBody {
	named := r.ProtoMajor >= 2 && len(r.Header["Content-Length"]) > 0
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 && !named {
		return nil
	}
	b := &requestBody{from: r.Body, http1: r.ProtoMajor == 1, fields: r.Trailer}
	for name := range r.Trailer {
		if field.MayTrail(name) && !field.Odd(name) && !p.identity.Has(name) {
			b.announced = append(b.announced, name)
		}
	}
	slices.Sort(b.announced)
	return b
}

// await returns when the first bytes of the body, or its end, have come: until
// then the website is not kept busy.
func (b *requestBody) await() error {
	for len(b.unread) == 0 && b.err == nil {
		n, err := b.from.Read(b.begin[:])
		b.unread, b.err = b.begin[:n], err
	}
	if errors.Is(b.err, io.EOF) {
		return nil
	}
	return b.note(b.err)
}

// buffered returns how many bytes Read returns without waiting for the client.
func (b *requestBody) buffered() int { return len(b.unread) }

func (b *requestBody) Read(p []byte) (int, error) {
	if len(b.unread) > 0 {
		n := copy(p, b.unread)
		if b.unread = b.unread[n:]; len(b.unread) > 0 || b.err == nil {
			return n, nil
		}
		return n, b.note(b.err)
	}
	if b.err != nil {
		return 0, b.note(b.err)
	}
	n, err := b.from.Read(p)
	return n, b.note(err)
}

// note remembers how reading ended, and returns its error.
func (b *requestBody) note(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(&err)
	}
	return err
}

// trailer returns what followed the body of what was announced. Over HTTP/1.1
// net/http takes in whatever stands there.
func (b *requestBody) trailer() wire.Fields {
	var fields wire.Fields
	for _, name := range b.announced {
		for _, value := range b.fields[name] {
			fields = append(fields, wire.Field{Name: field.Spelled(name), Value: value})
		}
	}
	return fields
}
