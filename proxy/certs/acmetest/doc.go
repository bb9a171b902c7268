// Package acmetest starts Pebble, Let's Encrypt's ACME server for tests, inside
// the test's own process, so that obtaining certificates is tested against a
// real server that really connects back and checks the challenges.
package acmetest
