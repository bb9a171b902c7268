package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// interim passes on what the website says before its answer, such as 103. A 100 is
// the server's to send: it does when the body is first read, and with Expect that is
// when the website has asked for it.
func (x *passage) interim(status int, fields wire.Fields) error {
	w := x.w
	if status == http.StatusContinue || !x.r.ProtoAtLeast(1, 1) {
		return nil
	}
	kept := x.proxy.answered(fields)
	err := middleware.WriteHead(w, status, http.StatusText(status), kept, 0)
	if !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := w.Header()
	final := maps.Clone(h)
	field.Fill(h, kept)
	// With this field, net/http copies the header without it. Otherwise it may read the
	// header itself over HTTP/2 after WriteHeader has returned: when the client has just
	// ended the stream.
	h["Content-Length"] = nil
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, final)
	return nil
}

// answer sends the website's answer to the client. A part that it has sent is
// never held back to wait for the next one.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, body *requestBody, a *reply) {
	rec := middleware.FromContext(r.Context())
	contentType := a.fields.Get("Content-Type")
	p.head(w, body, a, rec.Visit)
	stop := func() bool { return false }
	if kind, _, _ := strings.Cut(contentType, ";"); rec.Visit != nil && strings.EqualFold(strings.Trim(kind, " \t"), "text/event-stream") {
		stop = endWith(r.Context(), rec.Visit, a.body.cutter())
	}
	defer stop()
	buf := passing{pool: &p.buffers}
	defer buf.release()
	n, err := 0, error(nil)
	for {
		waits := a.length != 0 && !a.body.ready()
		if waits {
			_ = http.NewResponseController(w).Flush() // the next write reports the same error
		}
		into := buf.after(n, waits)
		n, err = a.body.Read(into)
		if n > 0 {
			if _, err := w.Write(into[:n]); err != nil {
				p.cut(r.Context(), nil)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			for _, f := range a.body.trailer() {
				if field.MayTrail(f.Name) {
					w.Header().Add(http.TrailerPrefix+f.Name, f.Value)
				}
			}
			return
		case err != nil && stop():
			rec.Refused = sessionEnded
			panic(http.ErrAbortHandler) // it must not look complete
		case err != nil:
			p.cut(r.Context(), err)
		}
	}
}

// head begins the answer.
func (p *Proxy) head(w http.ResponseWriter, body *requestBody, a *reply, v *middleware.Visit) {
	fields := p.answered(a.fields)
	h := w.Header()
	for name, values := range h { // set by who stands in front of the website
		if !fields.Has(name) {
			for _, value := range values {
				fields = append(fields, wire.Field{Name: name, Value: value})
			}
		}
	}
	if v != nil {
		fields = visited(fields, v)
	}
	if err := middleware.WriteHead(w, a.status, a.reason, fields, a.length); !errors.Is(err, http.ErrNotSupported) {
		return // the first write reports the same error
	}
	clear(h)
	field.Fill(h, fields)
	if _, found := h["Content-Type"]; !found {
		h["Content-Type"] = nil // net/http must not guess what the website left open
	}
	if body != nil && body.http1 && !body.ended.Load() {
		// What is left of the body must not be taken for the next request.
		h.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
}

// answered returns the fields of an answer, final or interim, that the client
// sees. It uses the memory of what it is given.
func (p *Proxy) answered(fields wire.Fields) wire.Fields {
	var connection []string
	for _, f := range fields {
		if f.Is("Connection") {
			connection = append(connection, f.Value)
		}
	}
	kept := fields[:0]
	for _, f := range fields {
		keep := true
		switch {
		case f.Is("Trailer"):
			f.Value, keep = field.Announced(f.Value)
		case field.OfConnection(f.Name), field.Named(connection, f.Name):
			keep = false
		case f.Is("Set-Cookie"):
			keep = !p.cookies.sets(f.Value)
		case f.Is("Clear-Site-Data") && p.guarded:
			f.Value, keep = field.Cleared(f.Value)
		case f.Is("Set-Login"):
			keep = !p.guarded
		}
		if keep {
			kept = append(kept, f)
		}
	}
	return kept
}

// cut ends an answer so that it does not look complete. err is why the website's
// part broke off; nil: it is the client that takes no more.
func (p *Proxy) cut(ctx context.Context, err error) {
	rec := middleware.FromContext(ctx)
	if err == nil || ctx.Err() != nil {
		rec.Left = true
	} else {
		p.failed(Cut)
		hint := "the website stopped in the middle of an answer; look into its own log"
		if known := new(fault); errors.As(err, &known) {
			hint = known.hint
		}
		rec.Fail(fmt.Errorf("reading the website's answer: %w", err), hint)
	}
	panic(http.ErrAbortHandler)
}

// Sizes of what bodies pass through, in bytes.
const (
	widestBuffer = 64 << 10
	wideBuffer   = 32 << 10
	narrowBuffer = 2 << 10
)

// longRun is how many reads in a row fill a wide buffer before a body is given one of the
// widest: a client that takes nothing is not sent so much.
const longRun = 16

// buffers keeps wide and widest ones.
type buffers struct{ wide, widest sync.Pool }

// passing is what a body or a tunnel passes through: wide while bytes flow, wider still
// for a long body that flows fast, and narrow while they trickle, because thousands of
// them may be silent.
type passing struct {
	pool   *buffers
	run    int // reads that filled a wide buffer
	widest *[widestBuffer]byte
	wide   *[wideBuffer]byte
	narrow []byte
}

// after returns the buffer for the next read, after one of n bytes. waits: nothing
// more has come yet.
func (b *passing) after(n int, waits bool) []byte {
	if waits && n < narrowBuffer {
		b.release()
		if b.narrow == nil {
			b.narrow = make([]byte, narrowBuffer)
		}
		return b.narrow
	}
	if n == wideBuffer {
		b.run++
	}
	if b.run >= longRun {
		if b.widest == nil {
			b.release()
			b.run = longRun
			b.widest = take[[widestBuffer]byte](&b.pool.widest)
		}
		return b.widest[:]
	}
	if b.wide == nil {
		b.wide = take[[wideBuffer]byte](&b.pool.wide)
	}
	return b.wide[:]
}

// take returns a buffer from a pool, or a new one.
func take[T any](pool *sync.Pool) *T {
	if buf, kept := pool.Get().(*T); kept {
		return buf
	}
	return new(T)
}

// release gives wide buffers back.
func (b *passing) release() {
	b.run = 0
	if b.wide != nil {
		b.pool.wide.Put(b.wide)
		b.wide = nil
	}
	if b.widest != nil {
		b.pool.widest.Put(b.widest)
		b.widest = nil
	}
}
