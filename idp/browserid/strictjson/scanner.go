package strictjson

import (
	"bytes"
	"errors"
	"fmt"
)

// errSyntax says that text is not JSON. [Malformed] explains it.
var errSyntax = errors.New("malformed JSON")

// scanner reads JSON (RFC 8259) in one pass, and refuses what the grammar
// allows and we do not: repeated members and deep nesting. The standard library
// does not refuse repeated members yet. Once encoding/json/jsontext is in it
// without an experiment, it can take this place: of a certificate's claims, this
// scanner takes 1.2 µs, jsontext.Value.IsValid 0.7 to 0.9 µs and decoding into a
// struct with json/v2 2.4 to 3.1 µs, against 31 to 36 µs for one RSA signature.
type scanner struct {
	text []byte
	at   int
}

// peek returns the byte that comes next, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take passes over the byte c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// value passes over one value; of an object it returns the members.
func (s *scanner) value(depth int) (Object, error) {
	if depth > deepest {
		return nil, fmt.Errorf("JSON is nested deeper than %d", deepest)
	}
	switch c := s.peek(); c {
	case '{':
		return s.object(depth)
	case '[':
		return nil, s.array(func() error {
			_, err := s.value(depth + 1)
			return err
		})
	case '"':
		_, err := s.quoted()
		return nil, err
	case 't':
		return nil, s.word("true")
	case 'f':
		return nil, s.word("false")
	case 'n':
		return nil, s.word("null")
	}
	return nil, s.number()
}

// object reads the object that begins here and checks that no member is
// repeated.
func (s *scanner) object(depth int) (Object, error) {
	var few [6]Member // on the stack: most objects have no more
	members := few[:0]
	s.at++
	s.space()
	for done := s.take('}'); !done; {
		member, err := s.member(depth)
		if err != nil {
			return nil, err
		}
		members = append(members, member)
		if done, err = s.more('}'); err != nil {
			return nil, err
		}
	}
	obj := make(Object, len(members))
	copy(obj, members)
	return obj, obj.checkNames()
}

func (s *scanner) member(depth int) (Member, error) {
	raw, err := s.quoted()
	if err != nil {
		return Member{}, err
	}
	name, err := Unquote(raw)
	if err != nil {
		return Member{}, fmt.Errorf("name of a member: %w", err)
	}
	s.space()
	if !s.take(':') {
		return Member{}, errSyntax
	}
	s.space()
	start := s.at
	child, err := s.value(depth + 1)
	if err != nil {
		return Member{}, err
	}
	return Member{name, s.text[start:s.at], child}, nil
}

// array passes over the array that begins here and calls each at the start of
// every element.
func (s *scanner) array(each func() error) error {
	s.at++
	s.space()
	for done := s.take(']'); !done; {
		if err := each(); err != nil {
			return err
		}
		var err error
		if done, err = s.more(']'); err != nil {
			return err
		}
	}
	return nil
}

// more passes over what follows an element: the closing bracket, then it says
// that all is done, or a comma.
func (s *scanner) more(closing byte) (done bool, err error) {
	s.space()
	if s.take(closing) {
		return true, nil
	}
	if !s.take(',') {
		return false, errSyntax
	}
	s.space()
	return false, nil
}

// quoted returns the string that begins here with its quotes and escapes.
func (s *scanner) quoted() ([]byte, error) {
	start := s.at
	if !s.take('"') {
		return nil, errSyntax
	}
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start:s.at], nil
		case c < ' ':
			return nil, errSyntax
		case c != '\\':
			s.at++
		case !s.escape():
			return nil, errSyntax
		}
	}
	return nil, errSyntax
}

// escape passes over one escape of a string.
func (s *scanner) escape() bool {
	s.at++ // the backslash
	c := s.peek()
	s.at++
	if c != 'u' {
		return c != 0 && bytes.IndexByte([]byte(`"\/bfnrt`), c) >= 0
	}
	if len(s.text)-s.at < 4 {
		return false
	}
	for _, c := range s.text[s.at : s.at+4] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	s.at += 4
	return true
}

func (s *scanner) word(want string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(want)) {
		return errSyntax
	}
	s.at += len(want)
	return nil
}

// number passes over a number.
func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return errSyntax
	}
	if s.take('.') && !s.digits() {
		return errSyntax
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

// digits passes over digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}
