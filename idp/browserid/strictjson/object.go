package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// deepest is how many objects and arrays may lie in one another. The protocol
// needs four.
const deepest = 32

// Object is the members of one JSON object. Its names are compared exactly,
// unlike those of encoding/json, which folds case.
type Object []Member

// Member is a member of an object.
type Member struct {
	Name  []byte // unescaped
	Value []byte // JSON text, checked
	child Object // the value's members; nil unless it is an object
}

// Parse reads exactly one JSON object and checks all of it; see [Decode].
func Parse(data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("JSON is not UTF-8")
	}
	s := scanner{text: data}
	s.space()
	if s.peek() != '{' {
		if !json.Valid(data) {
			return nil, Malformed(data)
		}
		return nil, errors.New("JSON is not an object")
	}
	obj, err := s.object(1)
	if err == nil {
		s.space()
		if s.at != len(data) {
			err = errSyntax
		}
	}
	if errors.Is(err, errSyntax) {
		return nil, Malformed(data)
	}
	return obj, err
}

// Malformed returns what is wrong with text that is no JSON. Leaving the
// explanation to encoding/json keeps the reading of good text simple.
func Malformed(data []byte) error {
	var discard json.RawMessage
	if err := json.Unmarshal(data, &discard); err != nil {
		return fmt.Errorf("malformed JSON: %w", err)
	}
	return errors.New("malformed JSON")
}

// Get returns the JSON text of a member.
func (o Object) Get(name string) ([]byte, bool) {
	if m := o.member(name); m != nil {
		return m.Value, true
	}
	return nil, false
}

func (o Object) member(name string) *Member {
	for i := range o {
		if string(o[i].Name) == name {
			return &o[i]
		}
	}
	return nil
}

// Text returns a member that must be a string.
func (o Object) Text(name string) (string, error) {
	value, ok := o.Get(name)
	if !ok {
		return "", fmt.Errorf("%q is missing", name)
	}
	if value[0] != '"' {
		return "", fmt.Errorf("%q is not a string", name)
	}
	text, err := Unquote(value)
	if err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return string(text), nil
}

// Child returns a member that is an object; ok is false when there is none.
func (o Object) Child(name string) (child Object, ok bool) {
	m := o.member(name)
	if m == nil || m.Value[0] != '{' {
		return nil, false
	}
	return m.child, true
}

// checkNames refuses a repeated member. Beyond a few, sorting keeps thousands
// of members from costing millions of comparisons.
func (o Object) checkNames() error {
	if len(o) > 8 {
		slices.SortFunc(o, func(a, b Member) int { return bytes.Compare(a.Name, b.Name) })
		for i := 1; i < len(o); i++ {
			if bytes.Equal(o[i-1].Name, o[i].Name) {
				return repeated(o[i])
			}
		}
		return nil
	}
	for i := range o {
		for _, other := range o[:i] {
			if bytes.Equal(other.Name, o[i].Name) {
				return repeated(other)
			}
		}
	}
	return nil
}

func repeated(m Member) error { return fmt.Errorf("member %s is there twice", Quote(m.Name)) }

// Elements splits an array that has been checked as a part of an object.
func Elements(array []byte) [][]byte {
	s := scanner{text: array}
	var all [][]byte
	_ = s.array(func() error {
		start := s.at
		_, err := s.value(1)
		all = append(all, s.text[start:s.at])
		return err
	})
	return all
}

// Unquote resolves the escapes of a JSON string. Half a surrogate pair is an
// error: parsers disagree on what it means.
func Unquote(raw []byte) ([]byte, error) {
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
