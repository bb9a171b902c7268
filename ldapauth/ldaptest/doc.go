// Package ldaptest starts a real OpenLDAP server for tests: on loopback, in a
// temporary directory, with its own certificate authority and a small sample
// company. It is used by the tests of ldapauth and by end-to-end tests of the
// whole program; nothing of it is linked into the program.
package ldaptest
