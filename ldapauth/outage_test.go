package ldapauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// wantOutage expects an error that is no answer about a person, with these parts in its text or hint.
func wantOutage(tb testing.TB, res identity.Result, err error, parts ...string) {
	tb.Helper()
	if err == nil {
		tb.Fatalf("an outage is answered as %q", res.Status)
	}
	if res.Status == identity.OK || len(res.Person.Addresses) > 0 {
		tb.Errorf("an outage lets people in: %+v", res)
	}
	for _, part := range append(parts, "directory corp", ": ") {
		if !contains(withHint(err), part) {
			tb.Errorf("the error does not say %q: %v", part, withHint(err))
		}
	}
}

// withHint returns an error's text and its hint, as an operator gets them.
func withHint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return err.Error() + " (hint: " + hinted.Hint() + ")"
	}
	return fmt.Sprint(err)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestFrozenServer(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	for name, change := range map[string]func(*ldapauth.Config){
		"ldaps":      func(*ldapauth.Config) {},
		"StartTLS":   func(c *ldapauth.Config) { c.URLs, c.StartTLS = []string{s.URL()}, true },
		"clear text": func(c *ldapauth.Config) { c.URLs, c.InsecurePlaintext = []string{s.URL()}, true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(s)
			change(&cfg)
			fresh, pooled := open(t, cfg), open(t, cfg)
			id := signIn(t, pooled, "alice", ldaptest.Password).Person.ID
			s.Freeze()
			defer s.Thaw()
			for _, d := range []*ldapauth.Directory{fresh, pooled} {
				res, err := d.Authenticate(within(t, 200*time.Millisecond), "alice", ldaptest.Password, nil)
				wantOutage(t, res, err, "hint")
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the cause is lost: %v", err)
				}
				res, err = d.Lookup(within(t, 200*time.Millisecond), id)
				wantOutage(t, res, err)
				if err := d.Ping(within(t, 200*time.Millisecond)); err == nil {
					t.Error("it answers a ping")
				}
			}
			s.Thaw()
			for _, d := range []*ldapauth.Directory{fresh, pooled} {
				wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
			}
		})
	}
}

// The configured time-out holds where the caller brings none.
func TestOwnTimeout(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	cfg := config(s)
	cfg.Timeout = 200 * time.Millisecond
	d := open(t, cfg)
	s.Freeze()
	defer s.Thaw()
	res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
	wantOutage(t, res, err)
}

// A server that stops answering between the search and the bind: the id comes
// with the error, so that a counted attempt can be given back.
func TestOutageDuringTheBind(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct{ down, up func(*ldaptest.Server) }{
		"frozen":  {(*ldaptest.Server).Freeze, (*ldaptest.Server).Thaw},
		"stopped": {(*ldaptest.Server).Stop, (*ldaptest.Server).Restart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ldaptest.StartSlapd(t, ldaptest.Options{})
			breakIt := func(string) bool {
				fail.down(s)
				return true
			}
			d := open(t, config(s))
			id := signIn(t, d, "alice", ldaptest.Password).Person.ID
			res, err := d.Authenticate(within(t, 300*time.Millisecond), "alice", ldaptest.Password, breakIt)
			wantOutage(t, res, err)
			if res.Person.ID != id {
				t.Errorf("id %q, want %q", res.Person.ID, id)
			}
			fail.up(s)
			wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
		})
	}
}

func TestRestartedServer(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	d := open(t, config(s))
	id := signIn(t, d, "alice", ldaptest.Password).Person.ID
	s.Restart()
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
	s.Stop()
	res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
	wantOutage(t, res, err, "refused", "hint", s.LDAPSURL())
	res, err = d.Lookup(context.Background(), id)
	wantOutage(t, res, err)
	s.Restart()
	wantStatus(t, lookUp(t, d, id), identity.OK, true)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
}

// The server, or a firewall, ends a connection while it lies idle.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	r := ldaptest.StartRelay(t, "127.0.0.1:0", s.LDAPSURL()[len("ldaps://"):])
	cfg := config(s)
	cfg.URLs = []string{"ldaps://" + r.Address()}
	d := open(t, cfg)
	id := signIn(t, d, "alice", ldaptest.Password).Person.ID
	for range 3 {
		r.DieAtNextUse()
		wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
		r.DieAtNextUse()
		wantStatus(t, lookUp(t, d, id), identity.OK, true)
		r.DieAtNextUse()
		wantStatus(t, signIn(t, d, "stranger", "wrong"), identity.Refused, false)
	}
	if n := r.Died(); n < 9 { // at least one a round: the test did what it says
		t.Errorf("only %d connections died", n)
	}
}

func TestServerThatClosesIdleConnections(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{Idle: time.Second})
	r := ldaptest.StartRelay(t, "127.0.0.1:0", s.LDAPSURL()[len("ldaps://"):])
	cfg := config(s)
	cfg.URLs = []string{"ldaps://" + r.Address()}
	d := open(t, cfg)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
	ldaptest.Eventually(t, "the server closes the idle connections", func() bool { return r.Open() == 0 })
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
}

func TestFailover(t *testing.T) {
	t.Parallel()
	first, second := ldaptest.StartSlapd(t, ldaptest.Options{}), ldaptest.StartSlapd(t, ldaptest.Options{})
	second.Replace(ldaptest.PersonDN("alice"), "displayName", "from the second")
	var log ldaptest.Log
	cfg := config(first)
	cfg.URLs = append(cfg.URLs, second.LDAPSURL())
	cfg.Roots.AppendCertsFromPEM(second.RootsPEM)
	cfg.Log = zerolog.New(&log).Level(zerolog.InfoLevel)
	cfg.Timeout = 4 * time.Second
	d := open(t, cfg)
	from := func() string {
		res := signIn(t, d, "alice", ldaptest.Password)
		wantStatus(t, res, identity.OK, true)
		return res.Person.Name
	}
	if got := from(); got != "Alice Adams" {
		t.Errorf("the first server is not used: %q", got)
	}

	first.Stop()
	if got := from(); got != "from the second" {
		t.Errorf("after the first stopped: %q", got)
	}
	first.Restart()
	ldaptest.Eventually(t, "the first server is used again", func() bool { return from() == "Alice Adams" })

	first.Freeze() // costs the first to notice its share of the time-out
	if got := from(); got != "from the second" {
		t.Errorf("after the first froze: %q", got)
	}
	first.Thaw()
	ldaptest.Eventually(t, "the first server is used again", func() bool { return from() == "Alice Adams" })

	first.Stop()
	second.Stop()
	res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
	wantOutage(t, res, err, first.LDAPSURL(), second.LDAPSURL())
	second.Restart()
	if got := from(); got != "from the second" {
		t.Errorf("after the second came back: %q", got)
	}
	for _, part := range []string{first.LDAPSURL(), "does not answer", "is back"} {
		if !contains(log.String(), part) {
			t.Errorf("the operator does not read %q:\n%s", part, log.String())
		}
	}
}

// A caller that leaves is no fault of the server's.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	var log ldaptest.Log
	cfg := config(s)
	cfg.URLs = []string{s.LDAPSURL(), "ldaps://127.0.0.1:1"}
	cfg.Log = zerolog.New(&log)
	ctx, leave := context.WithCancel(context.Background())
	d := open(t, cfg)
	res, err := d.Authenticate(ctx, "alice", ldaptest.Password, func(string) bool { leave(); return true })
	wantOutage(t, res, err)
	if !errors.Is(err, context.Canceled) || contains(log.String(), "does not answer") {
		t.Errorf("%v; log: %s", err, log.String())
	}
	res, err = d.Lookup(ctx, res.Person.ID)
	wantOutage(t, res, err)
}

func TestMisconfiguration(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	strict := ldaptest.StartSlapd(t, ldaptest.Options{RequireTLS: true})
	plain := ldaptest.StartSlapd(t, ldaptest.Options{NoTLS: true})
	otherName := "ldaps://" + ldaptest.StartRelay(t, "127.0.0.2:0", "127.0.0.1:"+port(s.LDAPSURL())).Address()
	for name, c := range map[string]struct {
		server *ldaptest.Server
		change func(*ldapauth.Config)
		want   string
	}{
		"wrong CA":            {s, func(c *ldapauth.Config) { c.Roots = strict.Roots() }, "set ca_file"},
		"wrong CA, StartTLS":  {s, func(c *ldapauth.Config) { c.Roots, c.URLs, c.StartTLS = strict.Roots(), []string{s.URL()}, true }, "set ca_file"},
		"system's CAs":        {s, func(c *ldapauth.Config) { c.Roots = nil }, "set ca_file"},
		"wrong host name":     {s, func(c *ldapauth.Config) { c.URLs = []string{otherName} }, "as it stands in the directory's certificate"},
		"no TLS on this port": {s, func(c *ldapauth.Config) { c.URLs = []string{"ldaps://127.0.0.1:" + port(s.URL())} }, "hint"},
		"StartTLS at an ldaps port": {s, func(c *ldapauth.Config) {
			c.URLs, c.StartTLS = []string{"ldap://127.0.0.1:" + port(s.LDAPSURL())}, true
		}, "this port seems to want TLS at once"},
		"no StartTLS":             {plain, func(c *ldapauth.Config) { c.URLs, c.StartTLS = []string{plain.URL()}, true }, "offers no StartTLS"},
		"TLS wanted":              {strict, func(c *ldapauth.Config) { c.URLs, c.InsecurePlaintext = []string{strict.URL()}, true }, "start_tls: true"},
		"service password":        {s, func(c *ldapauth.Config) { c.BindPassword = "wrong" }, "check bind_dn and bind_password"},
		"service account":         {s, func(c *ldapauth.Config) { c.BindDN = "cn=stranger,dc=example,dc=test" }, "check bind_dn and bind_password"},
		"anonymous search":        {s, func(c *ldapauth.Config) { c.BindDN, c.BindPassword = "", "" }, "base_dn"},
		"no such base":            {s, func(c *ldapauth.Config) { c.BaseDNs = []string{"ou=nowhere,dc=example,dc=test"} }, "of ou=nowhere,dc=example,dc=test there is dc=example,dc=test and no more"},
		"base not held there":     {s, func(c *ldapauth.Config) { c.BaseDNs = []string{"dc=elsewhere,dc=test"} }, "check base_dn: dc=elsewhere,dc=test is not there"},
		"empty base":              {s, func(c *ldapauth.Config) { c.BaseDNs = []string{""} }, "global catalogue"},
		"an id that no entry has": {s, func(c *ldapauth.Config) { c.Schema.ID.Attribute = "employeeNumber" }, "check id_attribute"},
		"no server there":         {s, func(c *ldapauth.Config) { c.URLs = []string{"ldaps://127.0.0.1:1"} }, "is the directory running"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(c.server)
			c.change(&cfg)
			cfg.Timeout = 5 * time.Second
			d := open(t, cfg)
			res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
			wantOutage(t, res, err, c.want)
			if err != nil && (contains(err.Error(), ldaptest.Password) || contains(err.Error(), c.server.BindPassword)) {
				t.Errorf("a password is in the error: %v", err)
			}
			if err := d.Ping(context.Background()); name != "an id that no entry has" && (err == nil || !contains(withHint(err), c.want)) {
				t.Errorf("ping: %v", withHint(err))
			}
		})
	}
}

// A server that demands encryption is served well by either kind.
func TestRequiredTLS(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{RequireTLS: true})
	for _, url := range []string{s.URL(), s.LDAPSURL()} {
		cfg := config(s)
		cfg.URLs, cfg.StartTLS = []string{url}, true
		wantStatus(t, signIn(t, open(t, cfg), "alice", ldaptest.Password), identity.OK, true)
	}
}

func TestServiceAccountMustChangeItsPassword(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	s.Replace(s.BindDN, "pwdReset", "TRUE")
	res, err := open(t, config(s)).Authenticate(context.Background(), "alice", ldaptest.Password, nil)
	wantOutage(t, res, err, "service account", "change its password")
}

func TestClosedDirectory(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
	d.Close()
	res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
	wantOutage(t, res, err, "closed")
}

func TestCloseEndsCalls(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	searched := make(chan struct{})
	gate := func(string) bool {
		s.Freeze()
		close(searched)
		return true
	}
	d := open(t, config(s))
	var call sync.WaitGroup
	call.Go(func() {
		res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, gate)
		wantOutage(t, res, err)
	})
	<-searched
	d.Close()
	call.Wait()
	s.Thaw()
}

func port(url string) string {
	return url[strings.LastIndexByte(url, ':')+1:]
}
