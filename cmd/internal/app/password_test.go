package app_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/ldaptest"
)

// TestPasswordChange: the whole program with a directory that knows RFC 3062. The session of the browser in use goes on past
// the next look into the directory, all others are over at once.
func TestPasswordChange(t *testing.T) {
	t.Parallel()
	const changed = "an other pass phrase"
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += "domains:\n  - {name: example.test, directory: corp}\n" + directoryYAML(t, folder, s) + "    password_change: {method: rfc3062}\n"
	clock := &wrongClock{}
	p := startAt(t, folder, yaml, clock.now)
	waitForKeys(t, p)
	visit := &visitors{t: t, roots: roots}
	here, there := visit.signIn(p, "alice"), visit.signIn(p, "alice")

	request := visit.request(http.MethodPost, "/persona/password", here)
	form := url.Values{"username": {"alice"}, "old": {ldaptest.Password}, "new": {changed}, "again": {changed}}
	request.Body = io.NopCloser(strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://example.test")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := p.client(roots).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cookies := response.Cookies()
	if body := read(t, response); response.StatusCode != http.StatusOK || !strings.Contains(body, "Your password is changed") || len(cookies) == 0 {
		t.Fatalf("the change answers %d %s", response.StatusCode, body)
	}
	last := cookies[len(cookies)-1]
	renewed := last.Name + "=" + last.Value
	visit.expect(p, "after the change", map[string]bool{here: false, there: false, renewed: true})
	visit.expectFresh(p, clock, renewed, true)
	for _, secret := range []string{ldaptest.Password, changed} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}
