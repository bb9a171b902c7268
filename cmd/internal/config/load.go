package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"persona-sidecar/cmd/internal/config/strict"
)

type (
	// Fault is one thing that is wrong with a configuration.
	Fault = strict.Fault
	// Faults are what [Load] reports.
	Faults = strict.Faults
	// Secret is a text of the configuration that is never shown.
	Secret = strict.Secret
)

// Environment stands in Fault.File for a fault of an environment variable.
const Environment = strict.Environment

// ErrNone is returned by [Load] when there is nothing to load: no file was named
// and no PERSONA_* variable describes a domain or a directory.
var ErrNone = errors.New("no configuration")

// loader is a Reader with the rules of a Config.
type loader struct{ *strict.Reader }

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
	l := loader{strict.New(path, EnvironmentDirectory)}
	if path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		defer func() { _ = file.Close() }()
		data, err := io.ReadAll(io.LimitReader(file, strict.MaxFile+1))
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		if fault := l.Document(data); fault != nil {
			return nil, Faults{*fault}
		}
	}
	l.Environment(environ, reflect.TypeFor[Config]())
	described := l.Describes(reflect.TypeFor[Domain]()) || l.Describes(reflect.TypeFor[Directory]())
	if path == "" && !described && len(l.Faults()) == 0 {
		return nil, ErrNone
	}
	c := &Config{}
	l.Fill(c)
	l.check(c)
	if faults := l.Faults(); len(faults) > 0 {
		return nil, faults
	}
	c.SecretFiles, c.Warnings = l.SecretFiles(), l.Warnings()
	return c, nil
}

// CheckText checks one text as the value of one key, such as "domains[0].name"
// or "directories.corp.urls[0]", the way [Load] would. Of a list the text is its
// items, separated by commas or blanks, as in an environment variable. Rules
// that need other keys are not checked. The error is [Faults] with Key and no
// File.
func CheckText(path, text string) error {
	return strict.CheckText(reflect.TypeFor[Config](), path, text)
}

// NeedRestart returns the keys that differ between two configurations and that a
// running program cannot change.
func NeedRestart(from, to *Config) []string {
	changed := strict.NeedRestart(*from, *to)
	if from.TLS.Mode != to.TLS.Mode && (from.TLS.Mode == ModeOff || to.TLS.Mode == ModeOff) {
		changed = append(changed, "tls.mode from or to off")
	}
	return changed
}
