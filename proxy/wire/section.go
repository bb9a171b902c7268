package wire

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// Error is why a message is refused. Its hint tells an operator what its sender
// must do.
type Error struct {
	problem string
	hint    string
}

func (e *Error) Error() string { return e.problem }

// Hint names the rule that the sender breaks.
func (e *Error) Hint() string { return e.hint }

// SectionEnd returns how many bytes at the beginning of b make a head or a trailer
// section: all up to its empty line and the empty line itself; 0 when there is no
// end yet. The first searched bytes of b are known to hold none.
//
// Lines may end with LF alone (RFC 9112, section 2.2, allows to accept it), see
// ParseFields.
func SectionEnd(b []byte, searched int) int {
	at := max(0, searched-2)
	if at == 0 {
		switch {
		case bytes.HasPrefix(b, []byte("\n")):
			return 1
		case bytes.HasPrefix(b, []byte("\r\n")):
			return 2
		}
	}
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch {
		case bytes.HasPrefix(b[at:], []byte("\n")):
			return at + 1
		case bytes.HasPrefix(b[at:], []byte("\r\n")):
			return at + 2
		}
	}
}

// ParseFields adds the field lines of text to fields, up to the empty line, at
// which text ends (RFC 9112, section 5). The fields are parts of text. It refuses
// names that are no tokens, white space around them, lines that continue another,
// and control characters, CR and NUL among them, in values.
//
// bare reports that a line ended with LF alone. Old programs send that, and all
// agree where such a line ends; but a sender of which one line was written by
// someone else is not to be trusted with another message on the connection.
func ParseFields(fields Fields, text string) (_ Fields, bare bool, err error) {
	if n := strings.Count(text, "\n"); cap(fields)-len(fields) < n-1 {
		fields = append(make(Fields, 0, len(fields)+n), fields...) // the empty line leaves room for one that is added
	}
	for {
		line, rest, crlf := cutLine(text)
		bare = bare || !crlf
		if line == "" {
			return fields, bare, nil
		}
		text = rest
		colon := strings.IndexByte(line, ':')
		name := line[:max(colon, 0)]
		switch {
		case line[0] == ' ' || line[0] == '\t':
			return fields, bare, &Error{"a field line continues the one before", "such lines are not to be sent any more (RFC 9112, section 5.2)"}
		case colon < 0:
			return fields, bare, &Error{"a field line has no colon", "a line is a name, a colon and a value (RFC 9112, section 5)"}
		case !IsToken(name):
			return fields, bare, &Error{"the name of a field is no token", "a name holds letters, digits and a few marks, no space (RFC 9110, section 5.1)"}
		}
		value := trim(line[colon+1:])
		if !IsText(value) {
			return fields, bare, &Error{"the value of " + name + " holds a control character", "a value holds neither CR nor NUL nor any other control character (RFC 9110, section 5.5)"}
		}
		fields = append(fields, Field{Name: name, Value: value})
	}
}

// trim removes white space around a value (RFC 9110, section 5.5). Most have one space in
// front.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for n := len(s) - 1; n >= 0 && (s[n] == ' ' || s[n] == '\t'); n-- {
		s = s[:n]
	}
	return s
}

// cutLine returns a line without its end, what follows it, and whether CRLF ended
// it.
func cutLine(text string) (line, rest string, crlf bool) {
	line = text
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		line, rest = text[:end], text[end+1:]
	}
	if n := len(line) - 1; n >= 0 && line[n] == '\r' {
		return line[:n], rest, true
	}
	return line, rest, false
}

// IsToken reports whether s is a token, as names of fields and methods are
// (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	// One bit for each of the characters 0 to 63 and 64 to 127.
	const (
		low = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' |
			(1<<10-1)<<'0'
		high = 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64) |
			(1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	)
	for i := range len(s) {
		c := s[i]
		if uint64(low)>>c&1 == 0 && (c < 64 || uint64(high)>>(c-64)&1 == 0) {
			return false
		}
	}
	return s != ""
}

// IsText reports whether s may stand in a line: it holds no control character but
// tabs. Bytes above 127 are text (RFC 9110, section 5.5).
func IsText(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080 // in each of eight bytes
	for ; len(s) >= 8; s = s[8:] {                            // an assertion has a thousand bytes
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		del := v ^ ones*0x7f
		// The highest bit of a byte stays only where one below ' ' borrows it, or that of del is 0.
		if ((v-ones*' ')&^v|(del-ones)&^del)&tops != 0 && !isText(s[:8]) {
			return false
		}
	}
	return isText(s)
}

func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// HasToken reports whether one of the comma-separated members of the fields with a
// name is token, compared without case.
func (fs Fields) HasToken(name, token string) bool {
	for _, f := range fs {
		if !f.Is(name) {
			continue
		}
		for member := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.Trim(member, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// Length returns the value of Content-Length, -1 when there is none. More than one,
// even of the same value, is refused, as is anything but digits (RFC 9112, section
// 6.3).
func (fs Fields) Length() (int64, error) {
	length := int64(-1)
	for _, f := range fs {
		if !f.Is("Content-Length") {
			continue
		}
		if length >= 0 {
			return 0, &Error{"there is more than one Content-Length", "one is to be sent (RFC 9112, section 6.3); does the application add another to that of its server?"}
		}
		n, err := strconv.ParseUint(f.Value, 10, 64)
		if err != nil || n > math.MaxInt64 {
			return 0, &Error{"the Content-Length is not a number", "it is one decimal number of bytes (RFC 9110, section 8.6)"}
		}
		length = int64(n)
	}
	return length, nil
}

// Chunked reports whether Transfer-Encoding is there. It is an error when it is
// anything but a single "chunked" (RFC 9112, section 6.1).
func (fs Fields) Chunked() (bool, error) {
	chunked := false
	for _, f := range fs {
		if !f.Is("Transfer-Encoding") {
			continue
		}
		if chunked || !strings.EqualFold(f.Value, "chunked") {
			return false, &Error{"the Transfer-Encoding is not just chunked", "it is to be sent once and to be chunked (RFC 9112, section 6.1); does the application add another to that of its server?"}
		}
		chunked = true
	}
	return chunked, nil
}
