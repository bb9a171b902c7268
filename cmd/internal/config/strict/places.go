package strict

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where the value of a key path is, or would be.
type place struct {
	node     *yaml.Node // nil when there is no value; never an alias
	line     int        // of the value, or else of the key or the section around it; 0 outside the file
	variable string     // that gives the value, or could
	written  bool       // the key is there, with or without a value
	text     string     // of an item of a list, as it was read; "" for a faulty one
}

// Join returns the path of a key below a path.
func Join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

// Given reports whether a path has a value.
func (r *Reader) Given(path string) bool { return r.places[path].node != nil }

// Written reports whether the key of a path is there, with or without a value.
func (r *Reader) Written(path string) bool { return r.places[path].written }

// FromEnvironment reports whether a variable gave a path its value.
func (r *Reader) FromEnvironment(path string) bool { return r.Given(path) && r.places[path].line == 0 }

// IsMapping reports whether a path has keys below it.
func (r *Reader) IsMapping(path string) bool {
	node := r.places[path].node
	return node != nil && node.Kind == yaml.MappingNode
}

// IsEmptyList reports whether a path is a list without items.
func (r *Reader) IsEmptyList(path string) bool {
	node := r.places[path].node
	return node != nil && node.Kind == yaml.SequenceNode && len(node.Content) == 0
}

// Each calls f for every item of a list that was read without a fault, with its path.
func (r *Reader) Each(list string, f func(text, path string)) {
	node := r.places[list].node
	if node == nil {
		return
	}
	for i := range node.Content {
		path := fmt.Sprintf("%s[%d]", list, i)
		if text := r.places[path].text; text != "" {
			f(text, path)
		}
	}
}

// Follows records that a path has a text because another one has its value.
func (r *Reader) Follows(path, text, from string) {
	r.places[path] = place{node: scalar(text), variable: r.places[from].variable}
}

// at returns a fault without words for a path.
func (r *Reader) at(path string) Fault {
	p := r.places[path]
	if p.line > 0 {
		return Fault{File: r.file, Line: p.line, Key: path}
	}
	return Fault{File: Environment, Key: cmp.Or(p.variable, path)}
}

// Fault records what is wrong with the value of a path, and what to do about it.
func (r *Reader) Fault(path, problem, cure string) {
	f := r.at(path)
	f.Problem, f.Cure = problem, cure
	r.faults = append(r.faults, f)
}

// Warn records what is allowed, but probably not intended.
func (r *Reader) Warn(path, problem, cure string) {
	f := r.at(path)
	f.Problem, f.Cure = problem, cure
	r.warnings = append(r.warnings, f)
}

// Missing records that a path needs a value.
func (r *Reader) Missing(path, cure string) {
	if p := r.places[path]; p.line == 0 && p.variable == "" {
		cure = "only a file can give it: " + cure
	}
	r.Fault(path, "is missing", cure)
}

// Name returns what the operator calls a path: the key in the file, or the
// variable.
func (r *Reader) Name(path string) string { return r.at(path).Key }

// Called returns what the operator calls a path, and its line.
func (r *Reader) Called(path string) string {
	if line := r.places[path].line; line > 0 {
		return fmt.Sprintf("%s on line %d", r.Name(path), line)
	}
	return r.Name(path)
}

// Setting returns how the operator gives a path a value.
func (r *Reader) Setting(path, to string) string {
	name := r.Name(path)
	if strings.HasPrefix(name, variablePrefix) {
		return name + "=" + to
	}
	return name[strings.LastIndex(name, ".")+1:] + ": " + to
}
