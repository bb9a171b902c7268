package middleware

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"persona-sidecar/proxy/wire"
)

// response records what is sent, for the access log and for recovery.
type response struct {
	http.ResponseWriter
	rec     *Record
	status  int // the final status, 0 until it is written
	written int64
	conn    *countedConn // once the connection was hijacked
}

// Unwrap leads http.ResponseController on.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) begin(status int) {
	w.rec.begun = true
	if w.status != 0 {
		return
	}
	w.status = status
	if ours := w.rec.StrictTransport; ours != "" {
		h := w.Header()
		h[strictTransport] = []string{stricter(ours, h[strictTransport])}
	}
}

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// WriteHead is called through the function of that name.
func (w *response) WriteHead(status int, reason string, fields wire.Fields, length int64) error {
	if ours := w.rec.StrictTransport; ours != "" && status >= 200 {
		var theirs []string
		others := make(wire.Fields, 0, len(fields)+1)
		for _, f := range fields {
			if f.Is(strictTransport) {
				theirs = append(theirs, f.Value)
			} else {
				others = append(others, f)
			}
		}
		fields = append(others, wire.Field{Name: strictTransport, Value: stricter(ours, theirs)})
	}
	err := WriteHead(w.ResponseWriter, status, reason, fields, length)
	if status >= 200 && !errors.Is(err, http.ErrNotSupported) {
		w.begin(status)
	}
	return err
}

func (w *response) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.begin(http.StatusSwitchingProtocols)
	w.conn = &countedConn{Conn: conn}
	return w.conn, buffered, nil
}

// countedConn counts what crosses a hijacked connection.
type countedConn struct {
	net.Conn
	in, out atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// CloseWrite ends one direction, where the connection can.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// countedBody counts a request's body. Another goroutine than the handler's may read it.
type countedBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
