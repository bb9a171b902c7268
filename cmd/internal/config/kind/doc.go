// Package kind reads the texts of a configuration, each kind of text by its own
// rules: host names, URLs, networks, durations, distinguished names and so on. A
// text that breaks them gets a [Problem] with its cure.
package kind
