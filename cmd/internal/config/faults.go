package config

import (
	"errors"
	"strconv"
	"strings"
)

// ErrNone is returned by [Load] when there is nothing to load: no file was named
// and no PERSONA_* variable is set.
var ErrNone = errors.New("no configuration")

// Environment stands in Fault.File for a fault of an environment variable.
const Environment = "environment"

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File    string // path as it was given to Load, or Environment
	Line    int    // from 1; 0 when the fault has no line
	Key     string // path of the key, or name of the variable; "" for the whole file
	Problem string // what is wrong
	Cure    string // what to do; "" where nothing can be said
}

// String returns the fault as "file:line: key: problem (cure)".
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	if f.Key != "" {
		b.WriteString(": " + f.Key)
	}
	b.WriteString(": " + f.Problem)
	if f.Cure != "" {
		b.WriteString(" (" + f.Cure + ")")
	}
	return b.String()
}

// Faults are all the faults of one configuration, those of the file by line,
// then those of the environment by name. Never empty when returned as an error.
type Faults []Fault

// Error lists every fault, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
