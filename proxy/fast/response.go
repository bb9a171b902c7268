package fast

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/proxy/wire"
)

// undecided is how many bytes of a body are kept until it is clear whether they are all of
// it, so that a Content-Length can be sent; as many as net/http keeps.
const undecided = 2 << 10

// response is the answer to a request, as http.ResponseWriter and the methods that
// http.ResponseController and the middleware call. It sends what net/http would.
type response struct {
	conn    *conn
	life    *life // of the request
	request *request
	body    *body // of the request, nil when it has none

	header   http.Header // the handler's; nil until it asks for it
	sent     http.Header // header as it was when WriteHeader was called
	status   int         // 0: not set yet
	length   int64       // as announced by a Content-Length; -1: not
	written  int64       // bytes of the body that the handler has written
	kept     []byte      // of these, before the head was written
	headDone bool        // the head is in out, or was sent
	chunked  bool
	close    bool // the connection ends behind the answer
	duplex   bool // what is left of the request's body is the handler's to read

	out []byte // to be sent; from the server's buffers
	err error  // of the connection
}

// RequestFields is called through middleware.RequestFields.
func (w *response) RequestFields() wire.Fields { return w.request.fields }

func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *response) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic("fast: the status is " + strconv.Itoa(status)) // as net/http does
	case w.status != 0:
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.statusLine(status, http.StatusText(status))
		_ = w.header.WriteSubset((*output)(w), map[string]bool{"Content-Length": true, "Transfer-Encoding": true})
		w.put("\r\n")
		w.send()
	default:
		w.status = status
		if length := w.header.Get("Content-Length"); length != "" {
			n, err := strconv.ParseInt(length, 10, 64)
			if w.length = n; err != nil || n < 0 {
				w.length = -1
				w.header.Del("Content-Length")
			}
		}
		w.sent = w.header.Clone()
	}
}

// WriteHead is called through middleware.WriteHead, which describes it.
func (w *response) WriteHead(status int, reason string, fields wire.Fields, length int64) error {
	if w.err == nil {
		w.err = fields.Check() // nothing more is sent, and writes report the same
	}
	if w.err != nil {
		return w.err
	}
	switch {
	case w.status != 0:
		return errors.New("a second head")
	case status < 200:
		w.statusLine(status, reason)
		for _, f := range fields {
			if !ofConnection(f.Name) && !f.Is("Content-Length") {
				w.field(f.Name, f.Value)
			}
		}
		w.put("\r\n")
		w.send()
		return w.err
	}
	w.status, w.headDone = status, true
	w.close = w.request.close || w.conn.server.closing.Load() || w.body != nil && !w.body.ended()
	framed := allowsBody(status) && w.request.method != http.MethodHead // a length is that of what is written
	if framed {
		w.length, w.chunked = length, length < 0
	}
	w.statusLine(status, reason)
	dated, measured := false, false
	for _, f := range fields {
		switch {
		case ofConnection(f.Name), status == http.StatusNotModified && f.Is("Content-Type"):
			continue
		case f.Is("Date"):
			dated = true
		case f.Is("Content-Length"):
			var decimal [20]byte // compared without an allocation
			if measured || !allowsBody(status) || framed && f.Value != string(strconv.AppendInt(decimal[:0], length, 10)) {
				continue
			}
			measured = true
		}
		w.field(f.Name, f.Value)
	}
	if !dated {
		w.field("Date", w.conn.server.now())
	}
	if framed && !measured && !w.chunked {
		w.field("Content-Length", strconv.FormatInt(length, 10))
	}
	w.endHead(w.close)
	return w.err
}

// ofConnection reports whether a field of an answer is the server's to send.
func ofConnection(name string) bool {
	return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Transfer-Encoding")
}

// allowsBody reports whether an answer with a status has a body (RFC 9110, section 6.4.1).
func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case len(p) == 0:
		return 0, nil
	case !allowsBody(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if !w.headDone {
		if w.kept = append(w.kept, p...); len(w.kept) > undecided {
			w.writeKept(false)
		}
		return len(p), w.err
	}
	w.data(p)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is called through http.ResponseController.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.writeKept(false)
	w.send()
	w.release() // the next bytes may be long in coming
	return w.err
}

// SetReadDeadline is called through http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	c := w.conn
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	c.readBy = time.Unix(1, 0) // it is set anew for the next request
	return c.nc.SetReadDeadline(t)
}

// SetWriteDeadline is called through http.ResponseController. A deadline that is hardly
// later than the one before is left out: setting it costs as much as a small write.
func (w *response) SetWriteDeadline(t time.Time) error {
	c := w.conn
	if later := t.Sub(c.writeBy); later >= 0 && later < c.writeStep {
		return nil
	}
	c.writeBy, c.writeStep = t, time.Until(t)/8
	return c.nc.SetWriteDeadline(t)
}

// EnableFullDuplex is called through http.ResponseController.
func (w *response) EnableFullDuplex() error {
	w.duplex = true
	return nil
}

// writeKept writes the head, unless it was written, and what was kept of the body. all: it
// is all of it.
func (w *response) writeKept(all bool) {
	if w.headDone {
		return
	}
	w.writeHead(all)
	w.data(w.kept)
	w.kept = nil
}

// writeHead writes the head that Header and WriteHeader have prepared.
func (w *response) writeHead(all bool) {
	w.headDone = true
	h := w.sent
	hasBody := allowsBody(w.status)
	exclude := map[string]bool{"Transfer-Encoding": true}
	if !hasBody {
		exclude["Content-Length"] = true
		exclude["Content-Type"] = w.status == http.StatusNotModified
	}
	w.close = w.request.close || w.conn.server.closing.Load() || h.Get("Connection") == "close"
	if w.body != nil && !w.duplex && !w.close {
		w.close = !w.body.drain()
	}
	named := slices.ContainsFunc(strings.Split(h.Get("Connection"), ","), func(s string) bool {
		return strings.EqualFold(strings.Trim(s, " \t"), "close")
	})
	exclude["Connection"] = w.close && !named

	w.statusLine(w.status, http.StatusText(w.status))
	_ = h.WriteSubset((*output)(w), exclude) // w.err has the error
	if len(h["Date"]) == 0 {
		w.field("Date", w.conn.server.now())
	}
	head := w.request.method == http.MethodHead
	if all && hasBody && len(h["Content-Length"]) == 0 && (!head || len(w.kept) > 0) {
		w.length = int64(len(w.kept))
		w.field("Content-Length", strconv.Itoa(len(w.kept)))
	}
	if _, typed := h["Content-Type"]; hasBody && !typed && h.Get("Content-Encoding") == "" && len(w.kept) > 0 {
		w.field("Content-Type", http.DetectContentType(w.kept))
	}
	w.chunked = hasBody && !head && w.length < 0
	w.endHead(exclude["Connection"])
}

func (w *response) statusLine(status int, reason string) {
	var line [16]byte
	w.put(string(append(strconv.AppendInt(append(line[:0], "HTTP/1.1 "...), int64(status), 10), ' ')))
	if reason == "" && http.StatusText(status) == "" {
		reason = "status code " + strconv.Itoa(status)
	}
	w.put(reason)
	w.put("\r\n")
}

func (w *response) field(name, value string) {
	w.put(name)
	w.put(": ")
	w.put(value)
	w.put("\r\n")
}

func (w *response) endHead(closes bool) {
	if closes {
		w.field("Connection", "close")
	}
	if w.chunked {
		w.field("Transfer-Encoding", "chunked")
	}
	w.put("\r\n")
}

// data writes bytes of the body.
func (w *response) data(p []byte) {
	switch {
	case len(p) == 0, w.request.method == http.MethodHead:
	case w.chunked:
		var size [16]byte
		w.put(string(append(strconv.AppendInt(size[:0], int64(len(p)), 16), "\r\n"...)))
		w.bytes(p)
		w.put("\r\n")
	default:
		w.bytes(p)
	}
}

// finish completes the answer when the handler has returned, and reports whether the
// connection may be used again. Otherwise it sends what is there.
func (w *response) finish(returned bool) bool {
	if returned {
		if w.status == 0 {
			w.WriteHeader(http.StatusOK)
		}
		w.writeKept(true)
		if w.chunked {
			w.put("0\r\n")
			w.trailer()
			w.put("\r\n")
		}
	}
	w.send()
	w.release()
	complete := w.length < 0 || w.length == w.written || w.request.method == http.MethodHead || !allowsBody(w.status)
	return returned && complete && !w.close && w.err == nil
}

// trailer writes the trailer section.
func (w *response) trailer() {
	var fields http.Header
	for name, values := range w.header {
		if name, found := strings.CutPrefix(name, http.TrailerPrefix); found {
			if fields == nil {
				fields = make(http.Header)
			}
			fields[name] = append(fields[name], values...)
		}
	}
	_ = fields.Write((*output)(w)) // w.err has the error
}

// output writes to a response's connection.
type output response

func (o *output) Write(p []byte) (int, error) {
	(*response)(o).bytes(p)
	return len(p), o.err
}

func (o *output) WriteString(s string) (int, error) {
	(*response)(o).put(s)
	return len(s), o.err
}

func (w *response) put(s string) {
	for len(s) > 0 {
		n := min(w.room(), len(s))
		w.out = append(w.out, s[:n]...)
		s = s[n:]
	}
}

// bytes writes whole buffers, so that most TLS records are as large as they may be.
func (w *response) bytes(p []byte) {
	for len(p) > 0 {
		n := w.room()
		if len(w.out) == 0 && len(p) >= n {
			w.write(p[:n])
			p = p[n:]
			continue
		}
		n = min(n, len(p))
		w.out = append(w.out, p[:n]...)
		p = p[n:]
	}
}

// room returns how much fits into the buffer, at least 1.
func (w *response) room() int {
	if w.out == nil {
		w.out = w.conn.server.buffers.Get()[:0]
	}
	if len(w.out) == wire.BufferSize {
		w.send()
	}
	return wire.BufferSize - len(w.out)
}

// send sends what is in the buffer.
func (w *response) send() {
	if len(w.out) > 0 {
		w.write(w.out)
		w.out = w.out[:0]
	}
}

// release gives the buffer back, with nothing in it.
func (w *response) release() {
	if w.out != nil {
		w.conn.server.buffers.Put(w.out[:wire.BufferSize])
		w.out = nil
	}
}

func (w *response) write(p []byte) {
	if w.err != nil {
		return
	}
	if _, w.err = w.conn.nc.Write(p); w.err != nil {
		w.life.end() // the client has left
	}
}
