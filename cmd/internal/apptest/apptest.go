// Package apptest has what the tests of cmd share: a log that can be read while it is written, a bound for every wait,
// and free ports.
package apptest

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
)

// Patience bounds every wait of a test for something that happens soon.
const Patience = 30 * time.Second

// Log collects what a program writes. The zero Log is empty and ready.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Eventually asks again and again until the condition holds, and fails the test after Patience.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %s: %s", Patience, what)
		}
		<-tick.C
	}
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
