// Package app wires the packages together: it translates the configuration for ldapauth, proxy and idp,
// opens the listeners, serves until its context ends, and stops in order. It is the only package that
// imports everything; the command line and the end-to-end tests run the same [App].
//
// What lasts as long as the program is in process.go, what one configuration makes is in generation.go,
// provider.go and translate.go. A reload builds a new generation and swaps it in.
package app
