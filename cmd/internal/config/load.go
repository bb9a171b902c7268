package config

import "errors"

// Load reads the configuration from the file at path, completed by the PERSONA_*
// variables in environ (each "NAME=value", as from os.Environ). With path ""
// the environment alone is the configuration.
//
// Variables speak of one domain and one directory: they give keys that the file
// leaves out, when it has at most one of those. The same key in both is a fault.
//
// Relative paths of the file are taken from the folder of the file, relative
// paths of the environment from the working directory.
//
// The error is [Faults] for whatever the operator can mend by editing, [ErrNone]
// when there is no configuration at all, and otherwise tells why the file could
// not be read; it then wraps the cause, such as fs.ErrNotExist.
func Load(path string, environ []string) (*Config, error) {
	return nil, errors.New("reading the configuration: not available yet")
}
