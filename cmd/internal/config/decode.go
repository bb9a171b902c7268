package config

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config/kind"
)

// maxValues bounds how many values are read, because aliases can make a small file large.
const maxValues = 40_000

// loader reads a document and the environment into a Config. It remembers where each value is from, for faults found later.
type loader struct {
	file        string            // as given to Load; "" without a file
	environment map[string]string // known variables; each is removed when it is read
	places      map[string]place  // by key path
	faults      Faults
	warnings    Faults
	values      int
	secretFiles []string                  // that secrets were read from
	pools       map[string]*x509.CertPool // by the file that they were read from
}

// place is where the value of a key path is, or would be.
type place struct {
	node     *yaml.Node // nil when there is no value; never an alias
	line     int        // of the value, or else of the key or the section around it; 0 outside the file
	variable string     // that gives the value, or could
	written  bool       // the key is there, with or without a value
	text     string     // of an item of a list, as it was read; "" for a faulty one
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

// given reports whether a path has a value.
func (l *loader) given(path string) bool { return l.places[path].node != nil }

// at returns a fault without words for a path.
func (l *loader) at(path string) Fault {
	p := l.places[path]
	if p.line > 0 {
		return Fault{File: l.file, Line: p.line, Key: path}
	}
	return Fault{File: Environment, Key: cmp.Or(p.variable, path)}
}

func (l *loader) fault(path, problem, cure string) {
	f := l.at(path)
	f.Problem, f.Cure = problem, cure
	l.faults = append(l.faults, f)
}

func (l *loader) warn(path, problem, cure string) {
	f := l.at(path)
	f.Problem, f.Cure = problem, cure
	l.warnings = append(l.warnings, f)
}

// missing records that a path needs a value.
func (l *loader) missing(path, cure string) {
	if p := l.places[path]; p.line == 0 && p.variable == "" {
		cure = "only a file can give it: " + cure
	}
	l.fault(path, "is missing", cure)
}

// name returns what the operator calls a path: the key in the file, or the
// variable.
func (l *loader) name(path string) string { return l.at(path).Key }

// setting returns how the operator gives a path a value.
func (l *loader) setting(path, to string) string {
	name := l.name(path)
	if strings.HasPrefix(name, variablePrefix) {
		return name + "=" + to
	}
	return name[strings.LastIndex(name, ".")+1:] + ": " + to
}

// count reports whether one more value may be read.
func (l *loader) count(path string) bool {
	l.values++
	if l.values == maxValues {
		l.fault(path, "there are more values than any configuration needs", "look for aliases of aliases")
	}
	return l.values < maxValues
}

// section reads a mapping into a struct.
func (l *loader) section(v reflect.Value, at place, path string) {
	keys := keysOf(v.Type())
	written := l.keys(at, path, keys)
	for _, k := range keys {
		here := join(path, k.name)
		p, found := written[k.name]
		if !found {
			p = place{line: at.line}
		}
		p = l.overlay(p, k)
		l.places[here] = p
		field := v.Field(k.field)
		switch fallback, has := k.tag.Lookup("default"); {
		case k.isSection():
			if k.kind == "switch" {
				p = l.turned(field, p, here)
			}
			l.section(field, p, here)
		case k.isEntries():
			l.entries(field, k, p, here)
		case p.node != nil:
			l.value(field, k, p, here)
		case has:
			l.value(field, k, place{node: k.node(fallback)}, here)
		}
		if text := strings.TrimSuffix(here, fileSuffix); k.isSecret() && text != here && l.given(here) && l.given(text) {
			l.fault(here, "is given together with "+l.name(text), "keep one of them")
		}
	}
}

// turned reads a section that can also be true or false, and returns the place of its keys.
func (l *loader) turned(section reflect.Value, p place, path string) place {
	on := p.node != nil
	if on && p.node.Kind == yaml.ScalarNode {
		var problem kind.Problem
		if on, problem = boolean(p); problem.Text != "" {
			if p.line > 0 {
				problem.Cure += ", or keys below it"
			}
			l.fault(path, problem.Text, problem.Cure)
		}
		p.node = nil
	}
	section.FieldByName("On").SetBool(on)
	return p
}

// overlay completes the place of a key by its variable.
func (l *loader) overlay(p place, k key) place {
	p.variable = k.variable
	text, set := l.environment[k.variable]
	if !set || k.isEntries() {
		return p
	}
	delete(l.environment, k.variable)
	switch {
	// Compose files pass on variables that are not set as empty ones. Only a
	// listener is turned off that way.
	case text == "" && k.kind != "listen":
	case p.node != nil:
		cure := "keep one of them"
		if k.kind == "listen" {
			cure += "; the container image sets this variable, so there remove it from the file"
		}
		l.faults = append(l.faults, Fault{
			File: Environment, Key: k.variable, Cure: cure,
			Problem: fmt.Sprintf("the file gives %s too, on line %d", k.name, p.node.Line),
		})
	default:
		p.node, p.line, p.written = k.node(text), 0, true
	}
	return p
}

var entryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// keys returns the places of the keys that are written in a mapping. It records
// repeated and malformed keys, and those that are not known; known is nil where
// the keys are names. A key without a value, or with the empty text where that
// means nothing, has no node.
func (l *loader) keys(at place, path string, known []key) map[string]place {
	if at.node == nil {
		return nil
	}
	if at.node.Kind != yaml.MappingNode {
		l.fault(path, "is not a section", "write its keys below it, indented")
		return nil
	}
	found := map[string]place{}
	first := map[string]int{}
	for i := 0; i+1 < len(at.node.Content); i += 2 {
		name, node := resolve(at.node.Content[i]), resolve(at.node.Content[i+1])
		here := join(path, kind.Shorten(name.Value))
		fault := func(key, problem, cure string) {
			l.faults = append(l.faults, Fault{File: l.file, Line: name.Line, Key: key, Problem: problem, Cure: cure})
		}
		if !l.count(path) {
			return found
		}
		if known == nil && name.Kind == yaml.ScalarNode && !entryName.MatchString(name.Value) {
			fault(path, kind.Quote(name.Value)+" cannot name a directory", "use letters, digits, dots, hyphens")
		}
		switch k := slices.IndexFunc(known, func(k key) bool { return k.name == name.Value }); {
		case name.ShortTag() == "!!merge":
			fault(here, "is a merge key, which persona does not read", "write the keys out")
		case name.Kind != yaml.ScalarNode:
			fault(path, "has a key that is not a word", "look at the indentation")
		case first[name.Value] > 0:
			fault(here, fmt.Sprintf("is given twice, first on line %d", first[name.Value]), "keep one of them")
		case k < 0 && known != nil:
			fault(here, "is not a known key", unknownKey(name.Value, known))
		case isNull(node) || node.ShortTag() == "!!str" && node.Value == "" && (k < 0 || !known[k].takesEmpty()):
			first[name.Value], found[name.Value] = name.Line, place{line: name.Line, written: true}
		default:
			first[name.Value], found[name.Value] = name.Line, place{node: node, line: node.Line, written: true}
		}
	}
	return found
}

// unknownKey returns what to do about an unknown key.
func unknownKey(name string, known []key) string {
	var names []string
	for _, k := range known {
		names = append(names, k.name)
	}
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known here: " + strings.Join(names, ", ")
}

// entries reads a list or a mapping of sections. Variables describe one entry,
// so the environment can give the only one, or complete it.
func (l *loader) entries(v reflect.Value, k key, at place, path string) {
	section := k.typ.Elem()
	set := l.set(section)
	shape := yaml.SequenceNode
	if v.Kind() == reflect.Map {
		shape = yaml.MappingNode
	}
	if len(set) > 0 && (at.node == nil || at.node.Kind == shape && len(at.node.Content) == 0) {
		at = place{variable: k.variable, node: &yaml.Node{Kind: shape, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}}
		if shape == yaml.MappingNode {
			at.node.Content = slices.Insert(at.node.Content, 0, scalar(EnvironmentDirectory))
		}
		l.places[path] = at
	}
	if at.node == nil {
		return
	}
	if shape == yaml.SequenceNode {
		n := len(at.node.Content)
		if at.node.Kind == shape && n > 1 {
			l.refuse(set, path)
		}
		v.Set(reflect.MakeSlice(k.typ, n, n)) // an entry without a value keeps its index
		l.items(at, path, func(i int, item place, here string) { l.section(v.Index(i), item, here) })
		return
	}
	v.Set(reflect.MakeMap(k.typ))
	named := l.keys(at, path, nil)
	if len(named) > 1 {
		l.refuse(set, path)
	}
	for _, name := range sortedKeys(named) {
		here := join(path, name)
		l.places[here] = named[name]
		entry := reflect.New(section).Elem()
		l.section(entry, named[name], here)
		v.SetMapIndex(reflect.ValueOf(name), entry)
	}
}

// refuse records variables that could belong to several entries.
func (l *loader) refuse(set []string, path string) {
	for _, name := range set {
		l.faults = append(l.faults, Fault{
			File: Environment, Key: name, Cure: "write it into the file",
			Problem: fmt.Sprintf("the file has more than one of %s, and a variable cannot say which it means", path),
		})
		delete(l.environment, name)
	}
}

// items calls each for every item of a list that has a value.
func (l *loader) items(at place, path string, each func(i int, item place, here string)) {
	if at.node.Kind != yaml.SequenceNode {
		l.fault(path, "is not a list", "write each item on a line of its own after a hyphen")
		return
	}
	for i, node := range at.node.Content {
		node, here := resolve(node), fmt.Sprintf("%s[%d]", path, i)
		item := place{node: node, line: node.Line, variable: at.variable}
		l.places[here] = item
		if !l.count(here) {
			return
		}
		if isNull(node) {
			l.fault(here, "is empty", "write a value or remove the line")
			continue
		}
		each(i, item, here)
	}
}

// value reads one text, or a list of texts.
func (l *loader) value(v reflect.Value, k key, p place, path string) {
	if !k.isList() {
		if value, _ := l.read(k, p, path); value != nil {
			v.Set(reflect.ValueOf(value).Convert(v.Type()))
		}
		return
	}
	if k.takesOne() && p.node.Kind == yaml.ScalarNode {
		if value, ok := l.read(k, p, path); ok {
			add(v, value)
		}
		return
	}
	seen := map[string]bool{}
	l.items(p, path, func(_ int, item place, here string) {
		value, ok := l.read(k, item, here)
		if !ok {
			return
		}
		item.text = item.node.Value
		if canonical, is := value.(string); is {
			item.text = canonical
		}
		if seen[item.text] {
			l.fault(here, fmt.Sprintf("%s is listed twice", kind.Quote(item.text)), "remove one")
			return
		}
		seen[item.text] = true
		l.places[here] = item
		add(v, value)
	})
}

// add appends to a list what one of its texts means.
func add(list reflect.Value, value any) {
	switch list := list.Addr().Interface().(type) {
	case *Private:
		switch value := value.(type) {
		case []netip.Prefix:
			list.Networks = append(list.Networks, value...)
		case string:
			list.Names = append(list.Names, value)
		}
		return
	case *Proxies:
		networks, is := value.([]netip.Prefix) // or the word private
		list.Listed, list.Private = append(list.Listed, networks...), list.Private || !is
		return
	}
	item := reflect.ValueOf(value)
	if item.Kind() == reflect.Slice {
		list.Set(reflect.AppendSlice(list, item))
		return
	}
	list.Set(reflect.Append(list, item))
}

// read returns the value of one text, and reports whether the text has no fault.
// Of a faulty text it returns what later checks can use, which may be nil.
func (l *loader) read(k key, p place, path string) (any, bool) {
	// A number or a word such as true is a text, too, where a text is wanted, as
	// for a password of digits.
	texts := []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}
	if p.node.Kind != yaml.ScalarNode || !slices.Contains(texts, p.node.ShortTag()) {
		l.fault(path, "is not a text", "write one value, in quotes if it has special characters")
		return nil, false
	}
	value, problem := l.convert(k, p)
	switch {
	case problem.Warning:
		l.warn(path, problem.Text, problem.Cure)
	case problem.Text != "":
		l.fault(path, problem.Text, problem.Cure)
		return value, false
	}
	return value, true
}

// convert returns what a text means. The kinds that are more than their text are
// read here, all others by package kind.
func (l *loader) convert(k key, p place) (any, kind.Problem) {
	switch k.kind {
	case "bool":
		return boolean(p)
	case "path":
		return l.path(p), kind.Problem{}
	case "roots":
		return l.roots(l.path(p))
	case "moreRoots":
		return moreRoots(l.path(p))
	case "secret":
		return NewSecret(p.node.Value), kind.Problem{}
	case "secretFile":
		return l.secretFile(l.path(p))
	case "macKeyFile":
		return l.macKeyFile(l.path(p))
	}
	return kind.Read(k.kind, k.argument, k.tag, p.node.Value)
}

// boolean returns true or false. The words in quotes are texts in YAML, and a
// variable has nothing but texts.
func boolean(p place) (bool, kind.Problem) {
	text := p.node.Value
	unquoted := ""
	if p.line > 0 {
		unquoted = ", without quotes"
	}
	if text != "true" && text != "false" || p.line > 0 && p.node.ShortTag() != "!!bool" {
		return text == "true", kind.Bad("write true or false"+unquoted, "%s is neither true nor false", kind.Quote(text))
	}
	return text == "true", kind.Problem{}
}
