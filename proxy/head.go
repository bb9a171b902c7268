package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"golang.org/x/net/http/httpguts"
)

// requestHead is what the head of an HTTP/1.x request says about what follows it.
type requestHead struct {
	foreign bool  // of another major version, which net/http refuses
	length  int64 // of the body, when it is not chunked
	chunked bool
	upgrade bool // the connection may become another protocol's
}

// malformedTarget is the fault of a target.
type malformedTarget struct{ error }

// headEnd returns the length of the head that p begins with, its empty line included;
// 0 when the end has not come yet.
func headEnd(p []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			return 0
		}
		if i == 0 || i == 1 && p[at] == '\r' {
			return at + i + 1
		}
		at += i + 1
	}
}

// readHead looks at a head as it stands on the connection, from its first byte to the
// empty line. An error is a fault for which the request is refused and the connection
// closed (RFC 9112): all for which net/http does so without a page, and those that it
// repairs without a trace: Transfer-Encoding in HTTP/1.0 or beside Content-Length
// (section 6.1), and folded lines (section 5.2).
func readHead(head []byte) (requestHead, error) {
	var h requestHead
	line, rest := cutLine(head)
	old, err := readRequestLine(line)
	if errors.Is(err, errForeign) {
		return requestHead{foreign: true}, nil
	}
	if err != nil {
		return h, err
	}
	hosts := 0
	var length []byte // as it was given
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		switch {
		case line[0] == ' ' || line[0] == '\t':
			return h, errors.New("a field is folded over two lines")
		case !found || !isToken(name):
			return h, errors.New("a field has no well-formed name")
		case !isValue(value):
			return h, errors.New("a field holds control characters")
		}
		value = bytes.Trim(value, " \t")
		switch {
		case bytes.EqualFold(name, []byte("Host")):
			if hosts++; !httpguts.ValidHostHeader(string(value)) {
				return h, errors.New("the Host is malformed")
			}
		case bytes.EqualFold(name, []byte("Content-Length")):
			bytes, err := strconv.ParseUint(string(value), 10, 63)
			if err != nil || length != nil && string(length) != string(value) {
				return h, errors.New("Content-Length is no length, or there are two")
			}
			length, h.length = value, int64(bytes)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			if h.chunked || !bytes.EqualFold(value, []byte("chunked")) {
				return h, errors.New("Transfer-Encoding is another one than chunked")
			}
			h.chunked = true
		case bytes.EqualFold(name, []byte("Expect")):
			// One expectation is known (RFC 9110, section 10.1.1), and servers find it in
			// more than it.
			if !bytes.EqualFold(value, []byte("100-continue")) {
				return h, errors.New("the expectation is another one than 100-continue")
			}
		case bytes.EqualFold(name, []byte("Upgrade")):
			h.upgrade = true
		}
	}
	switch {
	case hosts > 1 || hosts == 0 && !old:
		return h, errors.New("there is not exactly one Host")
	case h.chunked && length != nil:
		return h, errors.New("Transfer-Encoding beside Content-Length")
	case h.chunked && old:
		return h, errors.New("Transfer-Encoding in HTTP/1.0")
	}
	return h, nil
}

var errForeign = errors.New("not HTTP/1.x")

// readRequestLine returns whether the version is HTTP/1.0.
func readRequestLine(line []byte) (old bool, err error) {
	method, rest, _ := bytes.Cut(line, []byte{' '})
	i := bytes.LastIndexByte(rest, ' ')
	if i < 0 {
		return false, errors.New("the request line is malformed")
	}
	target, version := rest[:i], rest[i+1:]
	switch {
	case !isToken(method):
		return false, errors.New("the method is no token")
	case bytes.HasPrefix(version, []byte("HTTP/1.")) && len(version) == len("HTTP/1.1"):
	case bytes.HasPrefix(version, []byte("HTTP/")):
		return false, errForeign
	default:
		return false, errors.New("the version is malformed")
	}
	ordinary := len(target) > 0 && target[0] == '/' && bytes.IndexByte(target, '%') < 0 && isValue(target) && !bytes.ContainsAny(target, " \t")
	if !ordinary && string(method) != "CONNECT" { // whose target is an authority, and which is refused anyway
		if _, err := url.ParseRequestURI(string(target)); err != nil || bytes.IndexByte(target, ' ') >= 0 {
			return false, malformedTarget{fmt.Errorf("the target is malformed: %w", err)}
		}
	}
	return version[len(version)-1] == '0', nil
}

// cutLine takes the first line off p.
func cutLine(p []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(p, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

func isToken(p []byte) bool {
	for _, c := range p {
		if !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return len(p) > 0
}

func isValue(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// refusal is the request for "*" that is served in the place of a malformed one: the
// same method, and all well-formed fields but those about the body and the connection,
// so that the answer is in the client's language and the log names the client.
func refusal(head []byte) []byte {
	line, rest := cutLine(head)
	method, _, _ := bytes.Cut(line, []byte{' '})
	switch {
	case !isToken(method), string(method) == "OPTIONS", string(method) == "CONNECT":
		method = []byte("GET")
	}
	out := append(bytes.Clone(method), " * HTTP/1.1\r\n"...)
	host := []byte("invalid")
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !isToken(name) || !isValue(value) {
			continue
		}
		switch string(bytes.ToLower(name)) {
		case "host":
			if httpguts.ValidHostHeader(string(bytes.TrimSpace(value))) {
				host = bytes.TrimSpace(value)
			}
		case "content-length", "transfer-encoding", "trailer", "expect", "upgrade", "connection":
		default:
			out = append(append(out, line...), "\r\n"...)
		}
	}
	return fmt.Appendf(out, "Host: %s\r\nConnection: close\r\n\r\n", host)
}

// chunks follows a chunked body (RFC 9112, section 7.1) to find where it ends.
type chunks struct {
	part   chunkPart
	left   uint64 // of the chunk's data
	digits int    // of the chunk's size
	length int    // of the line of the trailer section
	cr     bool   // the last byte was a CR
}

type chunkPart int

const (
	chunkSize chunkPart = iota
	chunkExtension
	chunkData
	chunkEnd // the line end behind the data
	chunkTrailer
)

var errChunks = errors.New("the chunked body is malformed")

// follow returns how many of the bytes belong to the body, and whether it ends there.
// Line ends are CRLF and nothing else.
func (c *chunks) follow(p []byte) (n int, ended bool, err error) {
	for n < len(p) {
		if c.part == chunkData {
			step := min(c.left, uint64(len(p)-n))
			if n += int(step); step == c.left {
				c.part = chunkEnd
			}
			c.left -= step
			continue
		}
		b := p[n]
		n++
		lineEnd := c.cr && b == '\n'
		if c.cr != (b == '\n') { // a CR without LF, or a LF without CR
			return n, false, errChunks
		}
		c.cr = b == '\r'
		switch {
		case c.cr:
		case lineEnd && c.part == chunkEnd:
			c.part, c.digits = chunkSize, 0
		case lineEnd && c.part == chunkTrailer && c.length == 0:
			return n, true, nil
		case lineEnd && c.part == chunkTrailer:
			c.length = 0
		case lineEnd && c.digits == 0:
			return n, false, errChunks
		case lineEnd && c.left == 0:
			c.part, c.length = chunkTrailer, 0
		case lineEnd:
			c.part = chunkData
		case c.part == chunkEnd:
			return n, false, errChunks
		case c.part == chunkTrailer:
			c.length++
		case c.part == chunkExtension:
		default:
			digit, err := strconv.ParseUint(string(b), 16, 8)
			switch {
			case err == nil && c.digits < 15:
				c.left = c.left<<4 | digit
				c.digits++
			case err == nil || c.digits == 0:
				return n, false, errChunks
			default:
				c.part = chunkExtension
			}
		}
	}
	return n, false, nil
}
