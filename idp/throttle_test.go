package idp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/signin"

	"github.com/rs/zerolog"
)

func TestThrottleTakesBackWhatWasNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	fail := func(times int) {
		for range times {
			wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", "wrong")), http.StatusForbidden)
		}
	}
	for range 3 { // a success in between forgets the failures before it
		fail(3)
		b.signIn("alice", password)
	}
	fail(3)
	w.directory.Fail(errors.New("down"))
	for range 10 {
		wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable)
	}
	w.directory.Fail(nil)
	fail(1)
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusTooManyRequests)
}

// A right password is no guess, even where it does not suffice to sign in. One that proves nothing is.
func TestThrottleOfRightPasswordsThatDoNotSuffice(t *testing.T) {
	t.Parallel()
	for _, status := range []identity.Status{identity.Deactivated, identity.Expired, identity.PasswordExpired, identity.MustChange, identity.NotNow, identity.NotHere} {
		w := newWorld(t)
		w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = status })
		for range 6 {
			wantStatus(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden)
		}
		for range 4 {
			wantStatus(t, w.browser().postForm("/persona/authenticate", signInForm("alice", "wrong")), http.StatusForbidden)
		}
		wantStatus(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusTooManyRequests)
	}
}

func TestThrottleUnknownNames(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for _, name := range []string{"unknown", " Unknown", "UNKNOWN ", "unknown"} {
		wantStatus(t, b.postForm("/persona/authenticate", signInForm(name, "x")), http.StatusForbidden)
	}
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("unknown", "x")), http.StatusTooManyRequests)
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("unknown too", "x")), http.StatusForbidden)
}

func TestThrottleByClientNetwork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ attacker, neighbour, bystander string }{
		{"192.0.2.7", "192.0.2.7", "192.0.2.8"},
		{"2001:db8:1:2::7", "2001:db8:1:ff::1", "2001:db8:1:100::1"},
		{"::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"},
	} {
		w := newWorld(t)
		b := w.browser()
		w.client = netip.MustParseAddr(test.attacker)
		for i := range 40 {
			wantStatus(t, b.postForm("/persona/authenticate", signInForm(fmt.Sprint("name", i), "x")), http.StatusForbidden)
		}
		w.client = netip.MustParseAddr(test.neighbour)
		wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusTooManyRequests)
		w.client = netip.MustParseAddr(test.bystander)
		b.signIn("alice", password)
	}
}

// An attempt counts also when the client hangs up before the answer.
func TestThrottleCountsAbandonedAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 4 {
		r := httptest.NewRequestWithContext(gone, http.MethodPost, "/persona/authenticate", strings.NewReader(signInForm("alice", "wrong").Encode()))
		r.Host = host
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.server.ServeHTTP(httptest.NewRecorder(), r)
	}
	wantStatus(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusTooManyRequests)
}

// One private address from which all requests come is taken for a proxy.
func TestThrottleBehindAnUntrustedGateway(t *testing.T) {
	t.Parallel()
	for _, gateway := range []string{"10.0.0.1", "127.0.0.1", "::1", "fd00::1"} {
		w := newWorld(t)
		b := w.browser()
		w.client = netip.MustParseAddr(gateway)
		for i := range 60 {
			wantStatus(t, b.postForm("/persona/authenticate", signInForm(fmt.Sprint("name", i), "x")), http.StatusForbidden)
			if i == 0 && strings.Contains(w.logged.String(), "trusted_proxies") {
				t.Errorf("%s: one person at one address is taken for a proxy", gateway)
			}
		}
		if got := strings.Count(w.logged.String(), "trusted_proxies"); got != 1 {
			t.Errorf("%s: %d warnings", gateway, got)
		}
		w.client = netip.MustParseAddr("10.9.9.9") // there are several clients after all
		for i := range 41 {
			response := b.postForm("/persona/authenticate", signInForm(fmt.Sprint("other", i), "x"))
			if want := map[bool]int{true: http.StatusForbidden, false: http.StatusTooManyRequests}[i < 40]; response.StatusCode != want {
				t.Fatalf("%s: attempt %d has status %d", gateway, i, response.StatusCode)
			}
		}
	}
}

// brokenCounters cannot answer.
type brokenCounters struct{}

func (brokenCounters) Count(context.Context, string, int, time.Duration) (time.Duration, error) {
	return 0, errors.New("no answer from 10.1.2.3")
}
func (brokenCounters) Return(context.Context, string) error { return nil }
func (brokenCounters) Forget(context.Context, string) error { return nil }

func TestSignInWithoutCountersIsRefused(t *testing.T) {
	t.Parallel()
	throttle := signin.NewThrottle(signin.ThrottleConfig{Failures: 4, Window: 10 * time.Minute, Log: zerolog.Nop(), Accounts: brokenCounters{}, Counters: brokenCounters{}})
	b := newWorld(t, func(c *settings) { c.Throttle = throttle }).browser()
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable)
}
