package config

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config/kind"
)

// Load reads the configuration from the file at path, completed by the PERSONA_*
// variables in environ (each "NAME=value", as from os.Environ). With path ""
// the environment alone is the configuration.
//
// Variables describe one domain and one directory: they give keys that the file
// leaves out, when it has at most one of those. The same key in both is a fault.
//
// Relative paths of the file are taken from the folder of the file, relative
// paths of the environment from the working directory.
//
// The error is [Faults] for what the operator can correct by editing, [ErrNone]
// when there is no configuration at all, and otherwise why the file could not be
// read; it then wraps the cause, such as fs.ErrNotExist.
func Load(path string, environ []string) (*Config, error) {
	l := newLoader(path)
	root := place{}
	if path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		defer func() { _ = file.Close() }()
		data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		node, fault := parse(path, data)
		if fault != nil {
			return nil, Faults{*fault}
		}
		root = place{node: node, line: node.Line}
	}
	l.readEnvironment(environ)
	described := len(l.set(reflect.TypeFor[Domain]()))+len(l.set(reflect.TypeFor[Directory]())) > 0
	if path == "" && !described && len(l.faults) == 0 {
		return nil, ErrNone
	}
	c := &Config{}
	l.section(reflect.ValueOf(c).Elem(), root, "")
	l.check(c)
	if len(l.faults) > 0 {
		return nil, sorted(l.faults)
	}
	c.SecretFiles = l.secretFiles
	c.Warnings = sorted(l.warnings)
	return c, nil
}

// CheckText checks one text as the value of one key, such as "domains[0].name"
// or "directories.corp.urls[0]", the way [Load] would. Of a list the text is its
// items, separated by commas or blanks, as in an environment variable. Rules
// that need other keys are not checked. The error is [Faults] with Key and no
// File.
func CheckText(path, text string) error {
	k, found := findKey(reflect.TypeFor[Config](), regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, ""))
	if !found {
		return fmt.Errorf("there is no key %s", path)
	}
	l := newLoader("")
	p := place{node: k.node(text)}
	if strings.HasSuffix(path, "]") { // one item of a list
		p.node.Content = []*yaml.Node{scalar(text)}
	}
	l.places[path] = p
	l.value(reflect.New(k.typ).Elem(), k, p, path)
	if len(l.faults) == 0 {
		return nil
	}
	for i := range l.faults {
		l.faults[i].File, l.faults[i].Key = "", path
	}
	return l.faults
}

// NeedRestart returns the keys that differ between two configurations and that a
// running program cannot change.
func NeedRestart(from, to *Config) []string {
	changed := needRestart(reflect.ValueOf(*from), reflect.ValueOf(*to), "")
	if from.TLS.Mode != to.TLS.Mode && (from.TLS.Mode == ModeOff || to.TLS.Mode == ModeOff) {
		changed = append(changed, "tls.mode from or to off")
	}
	return changed
}

func needRestart(from, to reflect.Value, path string) []string {
	var changed []string
	for _, k := range keysOf(from.Type()) {
		here := join(path, k.name)
		switch a, b := from.Field(k.field), to.Field(k.field); {
		case k.isSection():
			changed = append(changed, needRestart(a, b, here)...)
		case k.tag.Get("restart") == "yes" && !reflect.DeepEqual(a.Interface(), b.Interface()):
			changed = append(changed, here)
		}
	}
	return changed
}

func newLoader(file string) *loader {
	return &loader{file: file, environment: map[string]string{}, places: map[string]place{}, pools: map[string]*x509.CertPool{}}
}

// sorted returns faults in the order in which the operator meets their places.
func sorted(faults Faults) Faults {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		switch inA, inB := a.File == Environment, b.File == Environment; {
		case inA && inB:
			return cmp.Compare(a.Key, b.Key)
		case inA:
			return 1
		case inB:
			return -1
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return slices.Compact(faults)
}

// readEnvironment takes the PERSONA_* variables, and refuses unknown ones but
// for those with which orchestrators describe a service called persona.
func (l *loader) readEnvironment(environ []string) {
	known := variables(reflect.TypeFor[Config]())
	for _, assignment := range environ {
		name, text, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, variablePrefix) || strings.HasPrefix(name, "PERSONA_PORT") || strings.HasPrefix(name, "PERSONA_SERVICE_") {
			continue
		}
		if slices.Contains(known, name) {
			l.environment[name] = text
			continue
		}
		cure, near := "remove it", nearest(name, known)
		switch {
		case name == "PERSONA_CONFIG":
			cure = "name the file with the flag -config"
		case near != "":
			cure = fmt.Sprintf("did you mean %s?", near)
		case strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT"):
			cure = "if Kubernetes made it for another service, set enableServiceLinks: false for the pod"
		}
		l.faults = append(l.faults, Fault{File: Environment, Key: kind.Shorten(name), Problem: "is not a known variable", Cure: cure})
	}
}

// set returns the variables that are set, and not empty, of those that describe
// a section.
func (l *loader) set(section reflect.Type) []string {
	return slices.DeleteFunc(variables(section), func(name string) bool { return l.environment[name] == "" })
}
