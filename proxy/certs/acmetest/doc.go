// Package acmetest starts Pebble, Let's Encrypt's ACME server for tests, inside
// the test's own process, so that obtaining certificates is tested against a
// real server that really connects back and checks the challenges.
//
// Tests that run at the same time in one process must ask for different host
// names: certmagic keeps the challenges under way in one map for the process,
// by name, and one test would take away the other's. A test that waits for a
// renewal should use a name of its own in each run: a renewal that was broken off
// is not tried again within a minute, in the whole process.
package acmetest
