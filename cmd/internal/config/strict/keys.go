package strict

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	variablePrefix = "PERSONA_"
	fileSuffix     = "_file"
)

// key is one key of a section: a field of its struct as the tags describe it.
// See [Reader] for the tags.
type key struct {
	name     string
	variable string // "" for none
	field    int
	typ      reflect.Type
	kind     string // tag "as" up to the first blank
	argument string // the rest of it
	tag      reflect.StructTag
}

// keysOf returns the keys of a section. A secret has two: its text, and a file
// that holds it.
func keysOf(section reflect.Type) []key {
	var keys []key
	for i := range section.NumField() {
		field := section.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		k := key{name: name, variable: field.Tag.Get("env"), field: i, typ: field.Type, tag: field.Tag}
		k.kind, k.argument, _ = strings.Cut(field.Tag.Get("as"), " ")
		switch {
		case k.kind != "":
		case k.isSecret():
			k.kind = "secret"
		case k.typ == reflect.TypeFor[time.Duration]():
			k.kind = "duration"
		case k.typ.Kind() == reflect.Bool:
			k.kind = "bool"
		case k.typ.Kind() == reflect.Int || k.typ == reflect.TypeFor[[]int]():
			k.kind = "number"
		}
		keys = append(keys, k)
		if k.isSecret() && !strings.HasSuffix(name, fileSuffix) {
			k.name, k.kind = name+fileSuffix, "secretFile"
			if k.variable != "" {
				k.variable += strings.ToUpper(fileSuffix)
			}
			keys = append(keys, k)
		}
	}
	return keys
}

func (k key) isSecret() bool { return k.typ == reflect.TypeFor[Secret]() }

func (k key) isList() bool {
	return k.typ.Kind() == reflect.Slice && !k.isEntries() || reflect.PointerTo(k.typ).Implements(reflect.TypeFor[List]())
}

// takesOne reports whether one text may stand in the place of a list of texts. It may hold commas.
func (k key) takesOne() bool { return k.kind == "base" }

// takesEmpty reports whether the empty text is a value.
func (k key) takesEmpty() bool {
	return k.kind == "listen" || k.kind == "base" || k.kind == "fieldName" || k.kind == "logoutURI"
}

// Later is the type of a key that a later release reads. Its field has no name.
type Later struct{}

func (k key) isLater() bool { return k.typ == reflect.TypeFor[Later]() }

// isSection reports whether the key has keys below it.
func (k key) isSection() bool {
	return k.typ.Kind() == reflect.Struct && !k.isSecret() && !k.isList() && !k.isLater()
}

// isEntries reports whether the key has sections below it, in a list or by name.
func (k key) isEntries() bool {
	return k.typ.Kind() == reflect.Map || k.typ.Kind() == reflect.Slice && k.typ.Elem().Kind() == reflect.Struct && k.kind == ""
}

// node returns a text outside the file, of the environment or a default, as if
// it stood in the file.
func (k key) node(text string) *yaml.Node {
	if !k.isList() || k.takesOne() {
		return scalar(text)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for item := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
		list.Content = append(list.Content, scalar(item))
	}
	return list
}

// variables returns the variables of a section and of everything below it.
func variables(section reflect.Type) []string {
	var all []string
	for _, k := range keysOf(section) {
		switch {
		case k.isSection():
			all = append(all, variables(k.typ)...)
			if k.kind == "switch" && k.variable != "" {
				all = append(all, k.variable)
			}
		case k.isEntries(): // its own variable is that of one of their keys
			all = append(all, variables(k.typ.Elem())...)
		case k.variable != "":
			all = append(all, k.variable)
		}
	}
	return all
}

// findKey returns the key at a path without indices, as in "domains.name".
func findKey(section reflect.Type, path string) (key, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	i := slices.IndexFunc(keysOf(section), func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	k := keysOf(section)[i]
	switch {
	case !deeper:
		return k, true
	case k.isSection():
		return findKey(k.typ, rest)
	case !k.isEntries():
		return key{}, false
	case k.typ.Kind() == reflect.Map: // a name may have dots
		rest = rest[strings.LastIndex(rest, ".")+1:]
	}
	return findKey(k.typ.Elem(), rest)
}

// List is a list that is no slice: its items are values of several types.
type List interface{ Add(item any) }

// add appends to a list what one of its texts means.
func add(list reflect.Value, value any) {
	if list, is := list.Addr().Interface().(List); is {
		list.Add(value)
		return
	}
	item := reflect.ValueOf(value)
	if item.Kind() == reflect.Slice {
		list.Set(reflect.AppendSlice(list, item))
		return
	}
	list.Set(reflect.Append(list, item))
}
