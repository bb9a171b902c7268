package browserid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// deepest is how many objects and arrays may lie in one another. Everything of
// the protocol needs four.
const deepest = 32

// object is the members of one JSON object, sorted by name. Its names are
// compared exactly, unlike those of encoding/json, which folds case.
type object []member

type member struct {
	name  []byte // unescaped
	value []byte // JSON text, checked
}

// parseObject reads exactly one JSON object and checks all of it; see [DecodeObject].
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("JSON is not UTF-8")
	}
	if !json.Valid(data) {
		return nil, notJSON(data)
	}
	s := scanner{text: data}
	s.space()
	if s.text[s.at] != '{' {
		return nil, errors.New("JSON is not an object")
	}
	return s.object(1)
}

// notJSON says what is wrong with text that json.Valid refused. Splitting the
// check from the explanation keeps the good case free of allocations.
func notJSON(data []byte) error {
	var discard json.RawMessage
	if err := json.Unmarshal(data, &discard); err != nil {
		return fmt.Errorf("malformed JSON: %w", err)
	}
	return errors.New("malformed JSON")
}

// get returns the JSON text of a member.
func (o object) get(name string) ([]byte, bool) {
	for _, m := range o {
		if string(m.name) == name {
			return m.value, true
		}
	}
	return nil, false
}

// text returns a member that must be a string.
func (o object) text(name string) (string, error) {
	value, ok := o.get(name)
	if !ok {
		return "", fmt.Errorf("%q is missing", name)
	}
	if value[0] != '"' {
		return "", fmt.Errorf("%q is not a string", name)
	}
	text, err := unquote(value)
	if err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return string(text), nil
}

// child returns a member that is an object; ok is false when there is none.
func (o object) child(name string) (child object, ok bool) {
	value, ok := o.get(name)
	if !ok || value[0] != '{' {
		return nil, false
	}
	s := scanner{text: value}
	child, err := s.object(1) // checked before as a part of o
	return child, err == nil
}

// elements splits an array that has been checked as a part of an object.
func elements(array []byte) [][]byte {
	s := scanner{text: array}
	var all [][]byte
	s.list(']', func() error {
		start := s.at
		err := s.value(1)
		all = append(all, s.text[start:s.at])
		return err
	})
	return all
}

// scanner walks over text that is known to be valid JSON, so it need not check
// the grammar, only what the grammar allows and we do not.
type scanner struct {
	text []byte
	at   int
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

// value passes over one value and checks it.
func (s *scanner) value(depth int) error {
	if depth > deepest {
		return fmt.Errorf("JSON is nested deeper than %d", deepest)
	}
	switch s.text[s.at] {
	case '{':
		_, err := s.object(depth)
		return err
	case '[':
		return s.list(']', func() error { return s.value(depth + 1) })
	case '"':
		s.quoted()
	default:
		s.word()
	}
	return nil
}

// object reads the object that begins here, sorts its members and checks that
// none is repeated. Sorting keeps thousands of members from costing millions
// of comparisons.
func (s *scanner) object(depth int) (object, error) {
	var members object
	err := s.list('}', func() error {
		name, err := unquote(s.quoted())
		if err != nil {
			return fmt.Errorf("name of a member: %w", err)
		}
		s.space()
		s.at++ // the colon
		s.space()
		start := s.at
		if err := s.value(depth + 1); err != nil {
			return err
		}
		members = append(members, member{name, s.text[start:s.at]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	for i := 1; i < len(members); i++ {
		if bytes.Equal(members[i-1].name, members[i].name) {
			return nil, fmt.Errorf("member %s is there twice", quoted(members[i].name))
		}
	}
	return members, nil
}

// list passes over the bracket that opens here and calls each at the start of
// every element until the bracket that closes.
func (s *scanner) list(closing byte, each func() error) error {
	s.at++
	s.space()
	for s.text[s.at] != closing {
		if err := each(); err != nil {
			return err
		}
		s.space()
		if s.text[s.at] == ',' {
			s.at++
			s.space()
		}
	}
	s.at++
	return nil
}

// quoted returns the string that begins here with its quotes and escapes.
func (s *scanner) quoted() []byte {
	start := s.at
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.text[start:s.at]
}

// word passes over a number, true, false or null.
func (s *scanner) word() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n,]}", s.text[s.at]) < 0 {
		s.at++
	}
}

// unquote resolves the escapes of a JSON string. Half a surrogate pair is an
// error: parsers disagree on what it means.
func unquote(raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("malformed string: %w", err)
	}
	if bytes.ContainsRune([]byte(text), utf8.RuneError) {
		return nil, errors.New("string has an unpaired surrogate")
	}
	return []byte(text), nil
}
