// Package strictjson reads JSON so that no two parsers can read it differently:
// repeated members, names in the wrong case, text behind the object and deep
// nesting are errors. It knows nothing of the protocol.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Decode decodes data, which must be exactly one JSON object in UTF-8,
// into v as [json.Unmarshal] does, but more strictly. Errors are: a repeated
// member at any depth, however it is escaped; anything after the object;
// nesting deeper than 32; a member that differs from a field of v only in
// upper and lower case (encoding/json would take it for that field, other
// parsers would not). Unknown members are allowed.
//
// The caller bounds the size of data.
func Decode(data []byte, v any) error {
	obj, err := Parse(data)
	if err != nil {
		return err
	}
	if err := obj.checkSpelling(reflect.TypeOf(v)); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return fmt.Errorf("member %s is a JSON %s, which it may not be", Quote(mismatch.Field), mismatch.Value)
		}
		return fmt.Errorf("decoding JSON: %w", err)
	}
	return nil
}

// checkSpelling refuses members that encoding/json would match with a field of
// the struct type t although their case differs.
func (o Object) checkSpelling(t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		for _, m := range o {
			if string(m.Name) != name && strings.EqualFold(string(m.Name), name) {
				return fmt.Errorf("member %s must be spelled %s", Quote(m.Name), Quote(name))
			}
		}
		if child, ok := o.Child(name); ok {
			if err := child.checkSpelling(field.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// Quote makes foreign text fit for an error: quoted, escaped, short.
func Quote[T string | []byte](text T) string {
	const most = 80
	if len(text) > most {
		return strconv.QuoteToASCII(string(text[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(text))
}
