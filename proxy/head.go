package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"persona-sidecar/proxy/wire"
)

// requestHead is what the head of an HTTP/1.x request says about what follows it, and
// what net/http does not keep of it.
type requestHead struct {
	foreign bool  // of another major version, which net/http refuses
	length  int64 // of the body, when it is not chunked
	chunked bool
	upgrade bool // the connection may become another protocol's

	method, target string
	fields         wire.Fields // in the client's order and spelling
}

// malformedTarget is the fault of a target.
type malformedTarget struct{ error }

// readHead looks at a head as it stands on the connection, from its first byte to the
// empty line. An error is a fault for which the request is refused and the connection
// closed (RFC 9112): all for which net/http does so without a page, and those that it
// repairs without a trace: Transfer-Encoding in HTTP/1.0 or beside Content-Length
// (section 6.1), and folded lines (section 5.2).
func readHead(head []byte) (requestHead, error) {
	line, rest, _ := strings.Cut(string(head), "\n")
	h, old, err := readRequestLine(strings.TrimSuffix(line, "\r"))
	if err != nil || h.foreign {
		return h, err
	}
	if h.fields, _, err = wire.ParseFields(nil, rest); err != nil {
		return h, err
	}
	hosts := 0
	length := "" // as it was given
	for _, f := range h.fields {
		switch {
		case f.Is("Host"):
			if hosts++; !httpguts.ValidHostHeader(f.Value) {
				return h, errors.New("the Host is malformed")
			}
		case f.Is("Content-Length"):
			bytes, err := strconv.ParseUint(f.Value, 10, 63)
			if err != nil || length != "" && length != f.Value {
				return h, errors.New("Content-Length is no length, or there are two")
			}
			length, h.length = f.Value, int64(bytes)
		case f.Is("Transfer-Encoding"):
			if h.chunked || !strings.EqualFold(f.Value, "chunked") {
				return h, errors.New("Transfer-Encoding is another one than chunked")
			}
			h.chunked = true
		case f.Is("Upgrade"):
			h.upgrade = true
		case f.Is("Expect"):
			// One expectation is known (RFC 9110, section 10.1.1), and servers find it in
			// more than it.
			if !strings.EqualFold(f.Value, "100-continue") {
				return h, errors.New("the expectation is another one than 100-continue")
			}
		}
	}
	switch {
	case hosts > 1 || hosts == 0 && !old:
		return h, errors.New("there is not exactly one Host")
	case h.chunked && length != "":
		return h, errors.New("Transfer-Encoding beside Content-Length")
	case h.chunked && old:
		return h, errors.New("Transfer-Encoding in HTTP/1.0")
	}
	return h, nil
}

// readRequestLine reads the first line, and returns whether the version is HTTP/1.0.
func readRequestLine(line string) (h requestHead, old bool, err error) {
	method, rest, _ := strings.Cut(line, " ")
	i := strings.LastIndexByte(rest, ' ')
	if i < 0 {
		return h, false, errors.New("the request line is malformed")
	}
	target, version := rest[:i], rest[i+1:]
	switch {
	case !wire.IsToken(method):
		return h, false, errors.New("the method is no token")
	case strings.HasPrefix(version, "HTTP/1.") && len(version) == len("HTTP/1.1"):
	case strings.HasPrefix(version, "HTTP/"):
		return requestHead{foreign: true}, false, nil
	default:
		return h, false, errors.New("the version is malformed")
	}
	ordinary := strings.HasPrefix(target, "/") && wire.IsText(target) && !strings.ContainsAny(target, "% \t")
	if !ordinary && method != http.MethodConnect { // whose target is an authority, and which is refused anyway
		if _, err := url.ParseRequestURI(target); err != nil || strings.Contains(target, " ") {
			// Without err: it quotes the target, whose query and password are private.
			return h, false, malformedTarget{errors.New("the target is malformed")}
		}
	}
	return requestHead{method: method, target: target}, version[len(version)-1] == '0', nil
}

// refusal is the request for "*" that is served in the place of a malformed one: the
// same method, and all well-formed fields but those about the body and the connection,
// so that the answer is in the client's language and the log names the client.
func refusal(head []byte) []byte {
	line, rest, _ := strings.Cut(string(head), "\n")
	method, _, _ := strings.Cut(line, " ")
	switch {
	case !wire.IsToken(method), method == http.MethodOptions, method == http.MethodConnect:
		method = http.MethodGet
	}
	out := append([]byte(method), " * HTTP/1.1\r\n"...)
	host := "invalid"
	for line := range strings.Lines(rest) {
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !found || !wire.IsToken(name) || !wire.IsText(value) {
			continue
		}
		switch strings.ToLower(name) {
		case "host":
			if value = strings.Trim(value, " \t"); httpguts.ValidHostHeader(value) {
				host = value
			}
		case "content-length", "transfer-encoding", "trailer", "expect", "upgrade", "connection":
		default:
			out = wire.AppendField(out, name, strings.Trim(value, " \t"))
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
