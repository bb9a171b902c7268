// Package cli is the program as a person meets it on the command line: its
// commands and their flags, usage texts, errors with hints, exit codes.
//
// It stands before the flows: it reads the configuration, builds the
// application and runs it. What the application does is decided in package app;
// this package decides what is printed where, and what the shell, systemd or a
// container engine is told.
package cli
