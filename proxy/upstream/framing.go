package upstream

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// framedConn is a connection to the website that ends itself behind an answer
// which may have left bytes on it: they would be taken for the next answer, and
// reach another client (RFC 9112, sections 9.2 and 11.2). http.Transport keeps
// such a connection and looks at what is left too late.
//
// It reports io.EOF together with the last bytes of the answer, so that the
// transport never keeps the connection:
//
//   - behind an answer that the standard gives no body, 204 and 304: a website that
//     sends one all the same may do so later;
//   - when there are bytes behind the end of the answer;
//   - behind an answer that asks for NTLM or Negotiate, see ofOneClient.
//
// Bytes that come while no request is under way are reported as io.EOF, too.
// Answers to HEAD need another transport: where they end depends on the method.
type framedConn struct {
	net.Conn
	asked   atomic.Bool // a request was written and its answer is not read
	answers framing
}

func (c *framedConn) Write(p []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(p)
}

func (c *framedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 || c.answers.phase == raw {
		return n, err
	}
	if c.answers.phase == ended {
		if !c.asked.Load() {
			return 0, io.EOF
		}
		c.answers = framing{phase: head, first: true, length: -1, line: c.answers.line[:0]}
	}
	used := c.answers.follow(p[:n])
	if c.answers.phase != ended {
		return n, err
	}
	c.asked.Store(false)
	if used < n || c.answers.last {
		return used, io.EOF
	}
	return n, err
}

// CloseWrite ends one direction of an upgraded connection.
func (c *framedConn) CloseWrite() error { return closeWrite(c.Conn) }

// framing follows the answers on a connection to find where each ends. It reads
// them as http.Transport does, which refuses what is malformed.
type framing struct {
	phase   phase
	line    []byte // up to maxFramingLine bytes of a line and those that continue it
	begun   bool   // the line is not complete
	folded  bool   // the line continues the one before (RFC 9112, section 5.2)
	first   bool   // the line is the status line
	status  int
	old     bool  // HTTP/1.0, which knows no chunks
	length  int64 // that is announced, or left, of the body or of a chunk; -1: none is announced
	chunked bool
	last    bool // no request may follow on the connection
}

// phase is what comes next.
type phase int

const (
	ended phase = iota // nothing: the answer is complete
	head
	body
	chunkSize
	chunkEnd // the line end behind a chunk
	trailers
	raw // everything up to the end of the connection
)

// maxFramingLine is more than any field takes that says where an answer ends.
const maxFramingLine = 4 << 10

// follow reads on and returns how many of the bytes belong to the answer: all of
// them unless the phase is ended.
func (f *framing) follow(p []byte) int {
	rest := p
	for len(rest) > 0 && f.phase != ended && f.phase != raw {
		if f.phase == body {
			n := min(int64(len(rest)), f.length)
			rest = rest[n:]
			if f.length -= n; f.length > 0 {
				break
			}
			f.phase = ended
			if f.chunked {
				f.phase = chunkEnd
			}
			continue
		}
		rest = f.readLine(rest)
	}
	return len(p) - len(rest)
}

// readLine takes the bytes of a line and returns what comes behind it. A field is
// complete when the next line does not continue it.
func (f *framing) readLine(p []byte) []byte {
	if !f.begun {
		f.folded = len(f.line) > 0 && (p[0] == ' ' || p[0] == '\t')
		if !f.folded {
			f.endField()
			f.line = f.line[:0]
		}
	}
	text, rest, complete := bytes.Cut(p, []byte{'\n'})
	f.line = append(f.line, text[:min(len(text), maxFramingLine-len(f.line))]...)
	f.begun = !complete
	if !complete {
		return rest
	}
	f.line = bytes.TrimSuffix(f.line, []byte{'\r'})
	switch {
	case f.phase == chunkSize:
		text, _, _ := strings.Cut(string(f.line), ";")
		size, err := strconv.ParseUint(strings.TrimRight(text, " \t"), 16, 63)
		switch {
		case err != nil:
			f.phase = raw
		case size == 0:
			f.phase = trailers
		default:
			f.phase, f.length = body, int64(size)
		}
	case f.phase == chunkEnd:
		f.phase = chunkSize
	case len(f.line) == 0 && !f.folded:
		f.endHead()
	case f.first:
		proto, status, _ := strings.Cut(string(f.line), " ")
		status, _, _ = strings.Cut(strings.TrimLeft(status, " "), " ")
		f.status, _ = strconv.Atoi(status)
		f.old = proto == "HTTP/1.0"
		f.last = proto != "HTTP/1.1"
		f.first = false
	default:
		return rest // a field, or a part of one
	}
	f.line = f.line[:0]
	return rest
}

// endField reads what a field says about the framing.
func (f *framing) endField() {
	name, value, found := bytes.Cut(f.line, []byte{':'})
	if !found || f.phase != head {
		return
	}
	value = bytes.Trim(value, " \t")
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		if length, err := strconv.ParseUint(string(value), 10, 63); err == nil {
			f.length = int64(length)
		}
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		f.chunked = !f.old
	case bytes.EqualFold(name, []byte("WWW-Authenticate")):
		f.last = f.last || len(f.line) == maxFramingLine || asksConnection(string(value))
	}
}

// endHead finds what follows a head, or ends the answer behind its trailers.
func (f *framing) endHead() {
	switch {
	case f.phase == trailers:
		f.phase = ended
	case f.status == http.StatusSwitchingProtocols:
		f.phase = raw
	case f.status >= 100 && f.status < 200: // interim: another head follows
		f.first, f.chunked, f.length = true, false, -1
	case f.status == http.StatusNoContent || f.status == http.StatusNotModified:
		f.phase, f.last = ended, true
	case f.chunked:
		f.phase = chunkSize
	case f.length > 0:
		f.phase = body
	case f.length == 0:
		f.phase = ended
	default:
		f.phase = raw
	}
}
