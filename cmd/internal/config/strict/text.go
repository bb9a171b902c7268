package strict

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CheckText checks one text as the value of one key of a struct, such as "domains[0].name", as
// [Reader.Fill] would. Of a list the text is its items, separated by commas or blanks, as in an
// environment variable. The error is [Faults] with Key and no File.
func CheckText(of reflect.Type, path, text string) error {
	k, found := findKey(of, regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, ""))
	if !found {
		return fmt.Errorf("there is no key %s", path)
	}
	r := New("", "")
	p := place{node: k.node(text)}
	if strings.HasSuffix(path, "]") { // one item of a list
		p.node.Content = []*yaml.Node{scalar(text)}
	}
	r.places[path] = p
	r.value(reflect.New(k.typ).Elem(), k, p, path)
	if len(r.faults) == 0 {
		return nil
	}
	for i := range r.faults {
		r.faults[i].File, r.faults[i].Key = "", path
	}
	return r.faults
}

// NeedRestart returns the keys that differ between two structs of a type, and that a running
// program cannot change.
func NeedRestart(from, to any) []string {
	return needRestart(reflect.ValueOf(from), reflect.ValueOf(to), "")
}

func needRestart(from, to reflect.Value, path string) []string {
	var changed []string
	for _, k := range keysOf(from.Type()) {
		here := Join(path, k.name)
		switch a, b := from.Field(k.field), to.Field(k.field); {
		case k.isSection():
			changed = append(changed, needRestart(a, b, here)...)
		case k.tag.Get("restart") == "yes" && !reflect.DeepEqual(a.Interface(), b.Interface()):
			changed = append(changed, here)
		}
	}
	return changed
}
