// Package apptest has what the tests of cmd share: a log that can be read while it is written, a bound for every wait,
// and free ports.
package apptest

import (
	"net"
	"os"
	"strconv"
	"testing"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/ldapauth/ldaptest"
)

// Patience bounds every wait of a test for something that happens soon.
const Patience = ldaptest.Patience

// Log collects what a program writes.
type Log = ldaptest.Log

// Eventually waits until a condition holds, and fails the test after Patience.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ldaptest.Eventually(t, what, holds)
}

// FreePort finds a TCP port of loopback that is free now, for a listener that has to be told its port. See
// [relyingpartytest.FreeAddress].
func FreePort(t testing.TB) int {
	t.Helper()
	_, port, err := net.SplitHostPort(relyingpartytest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// Write writes a file that only its owner may read.
func Write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
