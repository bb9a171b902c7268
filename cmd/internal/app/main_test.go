package app_test

import (
	"testing"

	"persona-sidecar/proxy/certs/acmetest"

	"go.uber.org/goleak"
)

// TestMain sees that a program that was stopped leaves nothing running.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, append(acmetest.LeakOptions(), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))...)
}
