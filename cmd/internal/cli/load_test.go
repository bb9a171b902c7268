//go:build unix

package cli_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestKilledUnderLoad kills the process in the middle of requests, sign-ins and
// sign-outs, and starts it again: it starts at once with the same keys, sessions are still
// valid, and signed-out ones are not.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{LDIF: ldaptest.CompanyOf(8)})
	folder := t.TempDir()
	put(t, filepath.Join(folder, "ldap-ca.pem"), string(slapd.RootsPEM))
	world(t, folder, fmt.Sprintf("directories:\n  corp: {preset: openldap, urls: [%q], ca_file: ldap-ca.pem, bind_dn: %q, bind_password: %q, base_dn: %q}\n",
		slapd.LDAPSURL(), slapd.BindDN, slapd.BindPassword, slapd.BaseDN), "example.test")
	p := serve(t, folder)
	p.ready(t)
	published := p.document(t, "example.test")
	stays := p.signIn(t, "alice")

	l := &load{p: p}
	stop := l.run(t, 8)
	apptest.Eventually(t, "the load does something", func() bool { return l.requests.Load() > 200 && l.signOuts.Load() >= 5 })
	p.kill(t)
	stop()
	t.Logf("killed after %d requests, %d of them sign-outs", l.requests.Load(), l.signOuts.Load())

	before := files(t, filepath.Join(folder, "state/persona/keys"))
	began := time.Now()
	p = serve(t, folder)
	p.ready(t)
	took := time.Since(began)
	t.Logf("ready after %v", took)
	if took > 5*time.Second {
		t.Errorf("it took %v to start", took)
	}
	if diff := cmp.Diff(published, p.document(t, "example.test")); diff != "" {
		t.Errorf("another key is published:\n%s", diff)
	}
	if diff := cmp.Diff(before, files(t, filepath.Join(folder, "state/persona/keys"))); diff != "" {
		t.Errorf("the key ring was changed by the start")
	}
	if !p.signedIn(t, stays) {
		t.Error("a session was lost")
	}
	for _, cookie := range l.signedOut() {
		if p.signedIn(t, cookie) {
			t.Error("a signed-out session is valid again")
		}
	}
	if !p.signedIn(t, p.signIn(t, "bob")) {
		t.Error("sign-in fails")
	}
	for _, line := range strings.Split(p.log.String(), "\n") {
		if strings.Contains(line, `"level":"error"`) {
			t.Errorf("the start found something wrong: %s", line)
		}
	}
	p.terminate(t)
}

// load are clients that ask for pages, look at their session, sign in and out.
type load struct {
	p                  *process
	requests, signOuts atomic.Int64

	mu   sync.Mutex
	outs []string // cookies of sessions whose sign-out was answered
}

// run starts a number of clients; stop ends them.
func (l *load) run(t *testing.T, clients int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				if !l.visit(ctx, i) {
					return // it was killed
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// visit makes a few requests and returns false when one was not answered.
func (l *load) visit(ctx context.Context, client int) bool {
	for range 5 {
		if _, err := l.p.ask(ctx, http.MethodGet, "example.test", "/page", "", nil); err != nil {
			return false
		}
		l.requests.Add(1)
	}
	if client%2 == 0 {
		return true
	}
	in, err := l.p.trySignIn(ctx, fmt.Sprintf("user%05d", client))
	if err != nil || in.cookie == "" {
		return err == nil
	}
	out, err := l.p.ask(ctx, http.MethodPost, "example.test", "/persona/logout", in.cookie, url.Values{})
	if err != nil {
		return false
	}
	l.requests.Add(2)
	if out.status == http.StatusOK {
		l.signOuts.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.outs = append(l.outs, in.cookie)
	}
	return true
}

func (l *load) signedOut() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outs
}
