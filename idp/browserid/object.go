package browserid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// deepest is how many objects and arrays may lie in one another. Everything of
// the protocol needs four.
const deepest = 32

// object is the members of one JSON object. Its names are compared exactly,
// unlike those of encoding/json, which folds case.
type object []member

type member struct {
	name  []byte // unescaped
	value []byte // JSON text, checked
	child object // the value's members; nil unless it is an object
}

// parseObject reads exactly one JSON object and checks all of it; see [DecodeObject].
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("JSON is not UTF-8")
	}
	s := scanner{text: data}
	s.space()
	if s.peek() != '{' {
		if !json.Valid(data) {
			return nil, notJSON(data)
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
		return nil, notJSON(data)
	}
	return obj, err
}

// notJSON says what is wrong with text that is malformed. Leaving the
// explanation to encoding/json keeps the reading of good text simple.
func notJSON(data []byte) error {
	var discard json.RawMessage
	if err := json.Unmarshal(data, &discard); err != nil {
		return fmt.Errorf("malformed JSON: %w", err)
	}
	return errors.New("malformed JSON")
}

// get returns the JSON text of a member.
func (o object) get(name string) ([]byte, bool) {
	if m := o.member(name); m != nil {
		return m.value, true
	}
	return nil, false
}

func (o object) member(name string) *member {
	for i := range o {
		if string(o[i].name) == name {
			return &o[i]
		}
	}
	return nil
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
	m := o.member(name)
	if m == nil || m.value[0] != '{' {
		return nil, false
	}
	return m.child, true
}

// others adds to the map found the members that the protocol has no name for.
func (o object) others(found map[string][]byte) map[string][]byte {
	for _, m := range o {
		switch string(m.name) {
		case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "public-key", "pubkey", "principal", "email":
			continue
		}
		if found == nil {
			found = map[string][]byte{}
		}
		found[string(m.name)] = m.value
	}
	return found
}

// checkNames refuses a repeated member. Beyond a few, sorting keeps thousands
// of members from costing millions of comparisons.
func (o object) checkNames() error {
	if len(o) > 8 {
		slices.SortFunc(o, func(a, b member) int { return bytes.Compare(a.name, b.name) })
		for i := 1; i < len(o); i++ {
			if bytes.Equal(o[i-1].name, o[i].name) {
				return repeated(o[i])
			}
		}
		return nil
	}
	for i := range o {
		for _, other := range o[:i] {
			if bytes.Equal(other.name, o[i].name) {
				return repeated(other)
			}
		}
	}
	return nil
}

func repeated(m member) error { return fmt.Errorf("member %s is there twice", quoted(m.name)) }

// elements splits an array that has been checked as a part of an object.
func elements(array []byte) [][]byte {
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
