package strict

import (
	"crypto/x509"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config/kind"
)

// maxValues bounds how many values are read, because aliases can make a small file large.
const maxValues = 40_000

// Reader reads one YAML document and the environment into a struct, and keeps where each
// value is from, for faults that are found later. The tags of the struct say everything:
//
//	yaml     the key
//	env      the environment variable that sets it, or describes an entry of it
//	as       how its text is read and checked, see kind.Read, and an argument;
//	         a string without it is any text
//	default  its value when neither file nor environment give one
//	min, max the bounds of a number or a duration
//	restart  "yes" for a key whose change a running program cannot apply
//
// A [Secret] has a second key, with the suffix _file, which names a file that holds the
// secret. A section that is as "switch" can also be true or false; its field On tells
// which. A key of the type [Later] is refused as not available yet.
type Reader struct {
	file        string            // as the operator names it; "" without a file
	entry       string            // the name that the environment gives to an entry
	root        place             // of the document
	environment map[string]string // known variables; each is removed when it is read
	places      map[string]place  // by key path
	faults      Faults
	warnings    Faults
	values      int
	secretFiles []string                  // that secrets were read from
	pools       map[string]*x509.CertPool // by the file that they were read from
}

// New returns a Reader for a file, "" where there is none. The entries of a mapping that
// variables describe are called by the name entry.
func New(file, entry string) *Reader {
	return &Reader{file: file, entry: entry, environment: map[string]string{}, places: map[string]place{}, pools: map[string]*x509.CertPool{}}
}

// Document takes the document of the file.
func (r *Reader) Document(data []byte) *Fault {
	node, fault := parse(r.file, data)
	if fault == nil {
		r.root = place{node: node, line: node.Line}
	}
	return fault
}

// Fill reads document and environment into a struct.
func (r *Reader) Fill(into any) { r.section(reflect.ValueOf(into).Elem(), r.root, "") }

// Faults returns what was found wrong so far, in the order in which the operator meets it.
func (r *Reader) Faults() Faults { return sorted(r.faults) }

// Warnings returns what is allowed, but probably not intended.
func (r *Reader) Warnings() Faults { return sorted(r.warnings) }

// SecretFiles returns the paths of the files that secrets were read from, each once.
func (r *Reader) SecretFiles() []string { return r.secretFiles }

// count reports whether one more value may be read.
func (r *Reader) count(path string) bool {
	r.values++
	if r.values == maxValues {
		r.Fault(path, "there are more values than any configuration needs", "look for aliases of aliases")
	}
	return r.values < maxValues
}

// section reads a mapping into a struct.
func (r *Reader) section(v reflect.Value, at place, path string) {
	keys := keysOf(v.Type())
	written := r.keys(at, path, keys)
	for _, k := range keys {
		here := Join(path, k.name)
		p, found := written[k.name]
		if !found {
			p = place{line: at.line}
		}
		p = r.overlay(p, k)
		r.places[here] = p
		field := v.Field(k.field)
		switch fallback, has := k.tag.Lookup("default"); {
		case k.isLater():
			if p.written {
				r.Fault(here, "is not available yet", "remove it")
			}
		case k.isSection():
			if k.kind == "switch" {
				p = r.turned(field, p, here)
			}
			r.section(field, p, here)
		case k.isEntries():
			r.entries(field, k, p, here)
		case p.node != nil:
			r.value(field, k, p, here)
		case has:
			r.value(field, k, place{node: k.node(fallback)}, here)
		}
		if text := strings.TrimSuffix(here, fileSuffix); k.isSecret() && text != here && r.Given(here) && r.Given(text) {
			r.Fault(here, "is given together with "+r.Name(text), "keep one of them")
		}
	}
}

// turned reads a section that can also be true or false, and returns the place of its keys.
func (r *Reader) turned(section reflect.Value, p place, path string) place {
	on := p.node != nil
	if on && p.node.Kind == yaml.ScalarNode {
		var problem kind.Problem
		if on, problem = boolean(p); problem.Text != "" {
			if p.line > 0 {
				problem.Cure += ", or keys below it"
			}
			r.Fault(path, problem.Text, problem.Cure)
		}
		p.node = nil
	}
	section.FieldByName("On").SetBool(on)
	return p
}

// overlay completes the place of a key by its variable.
func (r *Reader) overlay(p place, k key) place {
	p.variable = k.variable
	text, set := r.environment[k.variable]
	if !set || k.isEntries() {
		return p
	}
	delete(r.environment, k.variable)
	switch {
	// Compose files pass on variables that are not set as empty ones. Only a
	// listener is turned off that way.
	case text == "" && k.kind != "listen":
	case p.node != nil:
		cure := "keep one of them"
		if k.kind == "listen" {
			cure += "; the container image sets this variable, so there remove it from the file"
		}
		r.faults = append(r.faults, Fault{
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
func (r *Reader) keys(at place, path string, known []key) map[string]place {
	if at.node == nil {
		return nil
	}
	if at.node.Kind != yaml.MappingNode {
		r.Fault(path, "is not a section", "write its keys below it, indented")
		return nil
	}
	found := map[string]place{}
	first := map[string]int{}
	for i := 0; i+1 < len(at.node.Content); i += 2 {
		name, node := resolve(at.node.Content[i]), resolve(at.node.Content[i+1])
		here := Join(path, kind.Shorten(name.Value))
		fault := func(key, problem, cure string) {
			r.faults = append(r.faults, Fault{File: r.file, Line: name.Line, Key: key, Problem: problem, Cure: cure})
		}
		if !r.count(path) {
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
		if !k.isLater() {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known here: " + strings.Join(names, ", ")
}

// entries reads a list or a mapping of sections. Variables describe one entry,
// so the environment can give the only one, or complete it.
func (r *Reader) entries(v reflect.Value, k key, at place, path string) {
	section := k.typ.Elem()
	set := r.set(section)
	shape := yaml.SequenceNode
	if v.Kind() == reflect.Map {
		shape = yaml.MappingNode
	}
	if len(set) > 0 && (at.node == nil || at.node.Kind == shape && len(at.node.Content) == 0) {
		at = place{variable: k.variable, node: &yaml.Node{Kind: shape, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}}
		if shape == yaml.MappingNode {
			at.node.Content = slices.Insert(at.node.Content, 0, scalar(r.entry))
		}
		r.places[path] = at
	}
	if at.node == nil {
		return
	}
	if shape == yaml.SequenceNode {
		n := len(at.node.Content)
		if at.node.Kind == shape && n > 1 {
			r.refuse(set, path)
		}
		v.Set(reflect.MakeSlice(k.typ, n, n)) // an entry without a value keeps its index
		r.items(at, path, func(i int, item place, here string) { r.section(v.Index(i), item, here) })
		return
	}
	v.Set(reflect.MakeMap(k.typ))
	named := r.keys(at, path, nil)
	if len(named) > 1 {
		r.refuse(set, path)
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		here := Join(path, name)
		r.places[here] = named[name]
		entry := reflect.New(section).Elem()
		r.section(entry, named[name], here)
		v.SetMapIndex(reflect.ValueOf(name), entry)
	}
}

// refuse records variables that could belong to several entries.
func (r *Reader) refuse(set []string, path string) {
	for _, name := range set {
		r.faults = append(r.faults, Fault{
			File: Environment, Key: name, Cure: "write it into the file",
			Problem: fmt.Sprintf("the file has more than one of %s, and a variable cannot say which it means", path),
		})
		delete(r.environment, name)
	}
}

// items calls each for every item of a list that has a value.
func (r *Reader) items(at place, path string, each func(i int, item place, here string)) {
	if at.node.Kind != yaml.SequenceNode {
		r.Fault(path, "is not a list", "write each item on a line of its own after a hyphen")
		return
	}
	for i, node := range at.node.Content {
		node, here := resolve(node), fmt.Sprintf("%s[%d]", path, i)
		item := place{node: node, line: node.Line, variable: at.variable}
		r.places[here] = item
		if !r.count(here) {
			return
		}
		if isNull(node) {
			r.Fault(here, "is empty", "write a value or remove the line")
			continue
		}
		each(i, item, here)
	}
}

// value reads one text, or a list of texts.
func (r *Reader) value(v reflect.Value, k key, p place, path string) {
	if !k.isList() {
		if value, _ := r.read(k, p, path); value != nil {
			v.Set(reflect.ValueOf(value).Convert(v.Type()))
		}
		return
	}
	if k.takesOne() && p.node.Kind == yaml.ScalarNode {
		if value, ok := r.read(k, p, path); ok {
			add(v, value)
		}
		return
	}
	seen := map[string]bool{}
	r.items(p, path, func(_ int, item place, here string) {
		value, ok := r.read(k, item, here)
		if !ok {
			return
		}
		item.text = item.node.Value
		if canonical, is := value.(string); is {
			item.text = canonical
		}
		if seen[item.text] {
			r.Fault(here, fmt.Sprintf("%s is listed twice", kind.Quote(item.text)), "remove one")
			return
		}
		seen[item.text] = true
		r.places[here] = item
		add(v, value)
	})
}

// read returns the value of one text, and reports whether the text has no fault.
// Of a faulty text it returns what later checks can use, which may be nil.
func (r *Reader) read(k key, p place, path string) (any, bool) {
	// A number or a word such as true is a text, too, where a text is wanted, as
	// for a password of digits.
	texts := []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}
	if p.node.Kind != yaml.ScalarNode || !slices.Contains(texts, p.node.ShortTag()) {
		r.Fault(path, "is not a text", "write one value, in quotes if it has special characters")
		return nil, false
	}
	value, problem := r.convert(k, p)
	switch {
	case problem.Warning:
		r.Warn(path, problem.Text, problem.Cure)
	case problem.Text != "":
		r.Fault(path, problem.Text, problem.Cure)
		return value, false
	}
	return value, true
}

// convert returns what a text means. The kinds that are more than their text are
// read here, all others by package kind.
func (r *Reader) convert(k key, p place) (any, kind.Problem) {
	switch k.kind {
	case "bool":
		return boolean(p)
	case "path":
		return r.path(p), kind.Problem{}
	case "roots":
		return r.roots(r.path(p))
	case "moreRoots":
		return moreRoots(r.path(p))
	case "secret":
		return NewSecret(p.node.Value), kind.Problem{}
	case "secretFile":
		return r.secretFile(r.path(p))
	case "macKeyFile":
		return r.macKeyFile(r.path(p))
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
