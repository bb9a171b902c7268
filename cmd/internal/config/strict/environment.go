package strict

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
)

// Environment takes the PERSONA_* variables of a struct, and refuses unknown ones but
// for those with which orchestrators describe a service called persona.
func (r *Reader) Environment(environ []string, into reflect.Type) {
	known := variables(into)
	for _, assignment := range environ {
		name, text, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, variablePrefix) || strings.HasPrefix(name, "PERSONA_PORT") || strings.HasPrefix(name, "PERSONA_SERVICE_") {
			continue
		}
		if slices.Contains(known, name) {
			r.environment[name] = text
			continue
		}
		cure, near := "remove it", Nearest(name, known)
		switch {
		case name == "PERSONA_CONFIG":
			cure = "name the file with the flag -config"
		case near != "":
			cure = fmt.Sprintf("did you mean %s?", near)
		case strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT"):
			cure = "if Kubernetes made it for another service, set enableServiceLinks: false for the pod"
		}
		r.faults = append(r.faults, Fault{File: Environment, Key: kind.Shorten(name), Problem: "is not a known variable", Cure: cure})
	}
}

// set returns the variables that are set, and not empty, of those that describe
// a section.
func (r *Reader) set(section reflect.Type) []string {
	return slices.DeleteFunc(variables(section), func(name string) bool { return r.environment[name] == "" })
}

// Describes reports whether a variable is set of those that describe a section.
func (r *Reader) Describes(section reflect.Type) bool { return len(r.set(section)) > 0 }
