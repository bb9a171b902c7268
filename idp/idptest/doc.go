// Package idptest is what tests of sign-ins need around the identity provider:
// a directory and a clock that the test controls, a store in memory, a certificate
// authority for TLS, a browser, and a hub that plays the dialog's part as the
// historic one did.
//
// Its place in the flows: outside of them. Only tests import it.
package idptest
