// Package app builds the running program out of its rooms: it translates the configuration, joins ldapauth,
// proxy and idp by small adapters, opens the listeners, runs until its context ends, and stops in order.
// It is the only package that imports everything. The command line and the end-to-end tests run the
// same [App].
//
// All four flows of ARCHITECTURE.md (a proxied request, a sign-in, a certificate, TLS) are wired here and
// run elsewhere: a reader who wants to know which handler answers a request starts in translate.go.
package app
