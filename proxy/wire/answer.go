package wire

import (
	"bytes"
	"strings"
)

// Answer is the head of an answer.
type Answer struct {
	Status int // 100 to 999
	Reason string
	Fields Fields
	// Last reports that no other answer may be read from the connection: it is of
	// HTTP/1.0, a line of it ends with LF alone, or it says so.
	Last bool

	old bool // HTTP/1.0
}

// ReadAnswer reads a head of at most limit bytes (RFC 9112, sections 4 and 5). The
// error is io.EOF when the connection ended before the first byte.
func (r *Reader) ReadAnswer(limit int) (Answer, error) {
	text, err := r.section(limit, begunAnswer)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(text)
}

// begunAnswer refuses what cannot become an answer, so that a program that waits
// for the other side after its greeting is recognized at once.
func begunAnswer(got []byte) error {
	const begin = "HTTP/1."
	switch n := min(len(got), len(begin)); {
	case string(got[:n]) == begin[:n]:
		return nil
	case bytes.HasPrefix(got, []byte{0x15, 0x03}): // an alert (RFC 8446, section 5.1)
		return &Error{"the answer is TLS", "the website speaks TLS there; use https:// in the upstream"}
	default:
		return &Error{"the answer is not HTTP/1.1", "does a website listen at this address, and does it speak HTTP/1.1?"}
	}
}

var errStatusLine = &Error{"the status line is malformed", "it is a version, a space, three digits, a space and a text (RFC 9112, section 4)"}

func parseAnswer(text string) (a Answer, err error) {
	line, lines, crlf := cutLine(text)
	const version = len("HTTP/1.1")
	if len(line) < version+len(" 200") {
		return a, errStatusLine
	}
	switch line[:version] {
	case "HTTP/1.1":
	case "HTTP/1.0":
		a.old = true
	default:
		return a, &Error{"the answer is neither of HTTP/1.1 nor of HTTP/1.0", "the status line begins with HTTP/1.1 (RFC 9112, section 2.3)"}
	}
	status, reason, _ := strings.Cut(line[version+1:], " ") // old servers leave out an empty reason's space
	if line[version] != ' ' || len(status) != 3 || !IsText(reason) {
		return a, errStatusLine
	}
	for _, c := range []byte(status) {
		if c < '0' || c > '9' {
			return a, errStatusLine
		}
		a.Status = a.Status*10 + int(c-'0')
	}
	if a.Status < 100 {
		return a, &Error{"the status is below 100", "a status is a number from 100 to 999 (RFC 9110, section 15)"}
	}
	a.Reason = reason
	var bare bool
	a.Fields, bare, err = ParseFields(nil, lines)
	a.Last = a.old || bare || !crlf || a.Fields.HasToken("Connection", "close")
	return a, err
}

// Framing is how the end of a body is found.
type Framing struct {
	Length  int64 // in bytes; -1: not known before the end
	Chunked bool  // in chunks; otherwise, without a length, up to the end of the connection
}

// Framing returns how the answer's body ends, for a request of this method
// (RFC 9112, section 6.3). Answers that two readers may take to end at two places
// are refused.
func (a *Answer) Framing(method string) (Framing, error) {
	if a.Status < 200 {
		return Framing{}, nil // whatever its fields say
	}
	length, err := a.Fields.Length()
	if err != nil {
		return Framing{}, err
	}
	chunked, err := a.Fields.Chunked()
	switch {
	case err != nil:
		return Framing{}, err
	case chunked && a.old:
		return Framing{}, &Error{"an answer of HTTP/1.0 has a Transfer-Encoding", "HTTP/1.0 knows no chunks (RFC 9112, section 6.1)"}
	case chunked && length >= 0:
		return Framing{}, &Error{"the answer has both Content-Length and Transfer-Encoding", "one of them is to be sent (RFC 9112, section 6.2); does the application add a field that its server sends already?"}
	case method == "HEAD" || a.Status == 204 || a.Status == 304:
		return Framing{}, nil
	case chunked:
		return Framing{Length: -1, Chunked: true}, nil
	}
	return Framing{Length: length}, nil
}
