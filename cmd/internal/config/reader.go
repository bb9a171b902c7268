package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds how many values are read, because aliases can make a small
// file large.
const maxValues = 10_000

// reader collects the faults while a configuration is read. What comes from the
// environment stands in the same tree of nodes as what comes from the file, so
// that every rule is written once; variables says which node is whose.
type reader struct {
	file      string // as given to Load; "" without a file
	variables map[*yaml.Node]string
	faults    Faults
	warnings  Faults
	values    int
	secrets   []string // files that secrets were read from
}

// value is one place of the configuration: what stands there, if anything, and
// what the place is called.
type value struct {
	r      *reader
	node   *yaml.Node // nil when nothing stands there; never an alias
	around *yaml.Node // where the line of an absent value is taken from
	path   string
}

// given says whether something stands here.
func (v value) given() bool { return v.node != nil }

// variable returns the environment variable that gave this value, or "".
func (v value) variable() string { return v.r.variables[v.node] }

// inFile says whether this place belongs to the file. If nothing stands here,
// the section decides that it would be in; without one, whether there is a file.
func (v value) inFile() bool {
	switch {
	case v.node != nil:
		return v.node.Line > 0
	case v.around != nil:
		return v.around.Line > 0
	}
	return v.r.file != ""
}

// line returns the line of this place or of the section that it would be in, or
// 0.
func (v value) line() int {
	switch {
	case v.node != nil:
		return v.node.Line
	case v.around != nil:
		return v.around.Line
	}
	return 0
}

// place returns a fault without words for this place.
func (v value) place() Fault {
	if v.inFile() {
		return Fault{File: v.r.file, Line: v.line(), Key: v.path}
	}
	return Fault{File: Environment, Key: v.name()}
}

// fault records what is wrong here and what to do.
func (v value) fault(problem, cure string) {
	f := v.place()
	f.Problem, f.Cure = problem, cure
	v.r.faults = append(v.r.faults, f)
}

// warn records what is allowed here and probably not meant.
func (v value) warn(problem, cure string) {
	f := v.place()
	f.Problem, f.Cure = problem, cure
	v.r.warnings = append(v.r.warnings, f)
}

// missing records that something has to stand here. Of a missing key the line
// is that of its section.
func (v value) missing(cure string) {
	if !v.inFile() && variableOf(v.path) == "" {
		cure = "only a file can give it: " + cure
	}
	v.fault("is missing", cure)
}

// name returns what the operator calls this place: its path in the file, or the
// variable.
func (v value) name() string {
	if v.inFile() {
		return v.path
	}
	return cmp.Or(v.variable(), variableOf(v.path), v.path)
}

// setting returns how to give this place a value, in the words of whichever of
// file and environment it belongs to.
func (v value) setting(to string) string {
	name := v.name()
	if strings.HasPrefix(name, variablePrefix) {
		return name + "=" + to
	}
	return name[strings.LastIndex(name, ".")+1:] + ": " + to
}

// count says whether one more value may be read.
func (r *reader) count(v value) bool {
	r.values++
	if r.values == maxValues {
		v.fault("there are more values than any configuration needs", "look for aliases of aliases")
	}
	return r.values < maxValues
}

// section is a mapping that has been read.
type section struct {
	value
	nodes map[string]*yaml.Node // the values that are given, by key
	keys  map[string]*yaml.Node // the keys that are written, with a value or without
}

// at returns the place of a key of the section.
func (s section) at(key string) value {
	return value{r: s.r, node: s.nodes[key], around: cmp.Or(s.keys[key], s.node, s.around), path: join(s.path, key)}
}

// given says whether the section has a value for the key.
func (s section) has(key string) bool { return s.nodes[key] != nil }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields tells for each key of a section how to read its value. nil stands for
// a key of a later release.
type fields map[string]func(value)

// section reads a mapping key by key, in the order of the file. A key with no
// value or the empty text counts as not written, but for a listener, where the
// empty text means none.
func (v value) section(known fields) section {
	s := section{value: v, nodes: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}}
	if !v.given() {
		return s
	}
	v.mapping(func(key *yaml.Node, at value) {
		s.keys[key.Value] = key
		read, ok := known[key.Value]
		switch {
		case !ok:
			v.unknown(key, known)
		case read == nil:
			at.later()
		case at.given():
			s.nodes[key.Value] = at.node
			read(at)
		}
	})
	return s
}

// mapping calls each for every key of a mapping. Twice the same key is a fault.
func (v value) mapping(each func(key *yaml.Node, at value)) {
	if v.node.Kind != yaml.MappingNode {
		v.fault("is not a section", "write its keys below it, indented")
		return
	}
	first := map[string]int{}
	for _, p := range v.pairs(v.node, 0) {
		at := value{r: v.r, node: resolve(p.value), around: v.node, path: join(v.path, p.key.Value)}
		if !v.r.count(at) {
			return
		}
		if line, twice := first[p.key.Value]; twice {
			value{r: v.r, node: p.key, path: at.path}.fault(fmt.Sprintf("is given twice, first on line %d", line), "keep one of them")
			continue
		}
		first[p.key.Value] = p.key.Line
		if isNull(at.node) || isEmpty(at.node) && v.path != "listen" {
			at.node, at.around = nil, p.key
		}
		each(p.key, at)
	}
}

type pair struct{ key, value *yaml.Node }

// pairs returns the keys and values of a mapping, those that "<<" brings in
// last and only where the mapping has no such key.
func (v value) pairs(node *yaml.Node, depth int) []pair {
	var own, merged []pair
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := resolve(node.Content[i]), node.Content[i+1]
		if depth > 0 && !v.r.count(v) {
			return own
		}
		switch {
		case key.ShortTag() == "!!merge" && depth < 8:
			merged = append(merged, v.merged(val, depth)...)
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			value{r: v.r, node: key, path: v.path}.fault("has a key that is not a word", "look at the indentation")
		default:
			own = append(own, pair{key, val})
		}
	}
	has := map[string]bool{}
	for _, p := range own {
		has[p.key.Value] = true
	}
	for _, p := range merged {
		if !has[p.key.Value] && v.r.count(v) {
			has[p.key.Value] = true
			own = append(own, p)
		}
	}
	return own
}

// merged returns what the value of "<<" brings in: a mapping or a list of them.
func (v value) merged(node *yaml.Node, depth int) []pair {
	node = resolve(node)
	sources := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		sources = node.Content
	}
	var all []pair
	for _, source := range sources {
		source = resolve(source)
		if !v.r.count(v) {
			return all
		}
		if source.Kind != yaml.MappingNode {
			value{r: v.r, node: source, path: join(v.path, "<<")}.fault("is not a section", "merge an alias of a section")
			continue
		}
		all = append(all, v.pairs(source, depth+1)...)
	}
	return all
}

// unknown records a key that no release knows, or a near miss.
func (v value) unknown(key *yaml.Node, known fields) {
	cure := "known here: " + strings.Join(sortedKeys(known), ", ")
	if near := nearest(key.Value, sortedKeys(known)); near != "" {
		cure = fmt.Sprintf("did you mean %s?", near)
	}
	at := value{r: v.r, node: key, path: join(v.path, shorten(key.Value))}
	at.fault("is not a known key", cure)
}

// later records a key or a value that a later release will know.
func (v value) later() { v.fault("is not available yet", "remove it") }

// list calls each for every item of a list.
func (v value) list(each func(item value)) {
	if v.node.Kind != yaml.SequenceNode {
		v.fault("is not a list", "write each item on a line of its own after a hyphen")
		return
	}
	for i, node := range v.node.Content {
		item := value{r: v.r, node: resolve(node), around: v.node, path: fmt.Sprintf("%s[%d]", v.path, i)}
		if !v.r.count(item) {
			return
		}
		if isNull(item.node) && item.variable() == "" {
			item.fault("is empty", "write a value or remove the line")
			continue
		}
		each(item)
	}
}

// item is one text of a list and its place.
type item struct {
	value
	text string
}

// items returns the texts of a list, each as check returns it. Faulty ones are
// left out, and so are later ones of the same text.
func (v value) items(check func(value) (string, bool)) []item {
	var all []item
	v.list(func(at value) {
		text, ok := check(at)
		switch {
		case !ok:
		case slices.ContainsFunc(all, func(i item) bool { return i.text == text }):
			at.fault(fmt.Sprintf("%s is listed twice", quote(text)), "remove one")
		default:
			all = append(all, item{at, text})
		}
	})
	return all
}

// texts is items without their places.
func (v value) texts(check func(value) (string, bool)) []string { return texts(v.items(check)) }

func texts(items []item) []string {
	var all []string
	for _, i := range items {
		all = append(all, i.text)
	}
	return all
}

// filePath returns a path as the program can open it: relative to the folder of
// the file that it is written in.
func (v value) filePath() string {
	path, _ := v.text()
	if path == "" || filepath.IsAbs(path) || v.variable() != "" {
		return path
	}
	return filepath.Join(filepath.Dir(v.r.file), path)
}
