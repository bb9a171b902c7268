package idp_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder keeps events as lines.
type recorder struct{ lines []string }

func (e *recorder) SignIn(host, result string) { e.add("sign-in", host, result) }

func (e *recorder) Certificate(host, result string) { e.add("certificate", host, result) }

func (e *recorder) SessionEnded(host, reason string) { e.add("session", host, reason) }

func (e *recorder) add(words ...string) { e.lines = append(e.lines, strings.Join(words, " ")) }

// want compares what was recorded since the last call.
func (e *recorder) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, e.lines); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	e.lines = nil
}

// TestEvents: sign-ins, certificates and ends of sessions are counted with their result,
// and never with anything that was typed.
func TestEvents(t *testing.T) {
	t.Parallel()
	events := &recorder{}
	w := newWorld(t, func(c *settings) { c.Events = events })
	b := w.browser()

	b.postForm("/persona/authenticate", signInForm("alice", "wrong"))
	events.want(t, "a wrong password", "sign-in example.test refused")
	b.postForm("/persona/authenticate", signInForm("", ""))
	events.want(t, "an empty form", "sign-in example.test empty")
	b.postForm("/persona/authenticate", signInForm("al\x00ice", "x"))
	events.want(t, "a malformed name", "sign-in example.test malformed")
	b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test"))
	events.want(t, "a certificate without a session", "certificate example.test not_signed_in")

	b.signIn("alice", password)
	events.want(t, "a sign-in", "sign-in example.test ok")
	b.certify(certificateRequest("alice@example.test"))
	events.want(t, "a certificate", "certificate example.test issued")
	b.postJSON("/persona/api/certificate", certificateRequest("bob@example.test"))
	events.want(t, "another person's address", "certificate example.test not_your_address")
	b.postJSON("/persona/api/certificate", "{")
	events.want(t, "no request", "certificate example.test bad_request")
	b.signIn("alice", password)
	events.want(t, "a sign-in over another", "session example.test signed_in_again", "sign-in example.test ok")
	b.postForm("/persona/logout", url.Values{})
	events.want(t, "a sign-out", "session example.test signed_out")
	b.postForm("/persona/logout", url.Values{})
	events.want(t, "a sign-out without a session")

	b.signIn("alice", password)
	b.postForm("/persona/logout", url.Values{"everywhere": {"1"}})
	events.want(t, "a sign-out everywhere", "sign-in example.test ok", "session example.test signed_out_everywhere")

	b.signIn("alice", password)
	w.clock.Advance(6 * time.Minute)
	w.directory.Remove("alice-id")
	b.get("/persona/api/session")
	events.want(t, "a person who left", "sign-in example.test ok", "session example.test gone")
	for range 5 {
		b.postForm("/persona/authenticate", signInForm("bob", "wrong"))
	}
	events.want(t, "guessing", "sign-in example.test refused", "sign-in example.test refused",
		"sign-in example.test refused", "sign-in example.test refused", "sign-in example.test throttled")
}

// TestEventsOfOutages: an outage is no refusal.
func TestEventsOfOutages(t *testing.T) {
	t.Parallel()
	events := &recorder{}
	w := newWorld(t, func(c *settings) { c.Events = events })
	b := w.browser()
	b.signIn("alice", password)
	events.lines = nil
	w.directory.Fail(errors.New("connection refused"))
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable)
	events.want(t, "a sign-in", "sign-in example.test directory_unavailable")
	wantStatus(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusServiceUnavailable)
	events.want(t, "a certificate", "certificate example.test directory_unavailable")
}
