package ldapauth_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// faulty is a server that answers with the result codes it is given: slapd
// cannot be made to say that it is busy.
type faulty struct {
	mu           sync.Mutex
	search, bind int
	url          string
	bound        func()                // is called at each bind of a person
	entries      []map[string][]string // that every search finds below its base, each with its dn
}

// hold replaces the entries.
func (f *faulty) hold(entries ...map[string][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = entries
}

func (f *faulty) answer(search, bind int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.search, f.bind = search, bind
}

func (f *faulty) codes() (search, bind int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.search, f.bind
}

func startFaulty(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{}
	f.hold(map[string][]string{"dn": {"uid=alice,dc=test"}, "ENTRYUUID": {"alice-id"}, "UID": {"alice"}, "Mail": {"alice@example.test"}})
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	_ = mux.Bind(func(w *gldap.ResponseWriter, r *gldap.Request) {
		_, code := f.codes()
		m, err := r.GetSimpleBindMessage()
		if err == nil && m.UserName == "cn=service" {
			code = ldap.LDAPResultSuccess
		} else if f.bound != nil {
			f.bound()
		}
		_ = w.Write(r.NewBindResponse(gldap.WithResponseCode(code)))
	})
	_ = mux.Search(func(w *gldap.ResponseWriter, r *gldap.Request) {
		code, _ := f.codes()
		f.mu.Lock()
		entries := f.entries
		f.mu.Unlock()
		for _, entry := range entries {
			if code != ldap.LDAPResultSuccess {
				break
			}
			if m, err := r.GetSearchMessage(); err == nil && !strings.HasSuffix(entry["dn"][0], m.BaseDN) {
				continue
			}
			_ = w.Write(r.NewSearchResponseEntry(entry["dn"][0], gldap.WithAttributes(entry)))
		}
		_ = w.Write(r.NewSearchDoneResponse(gldap.WithResponseCode(code)))
	})
	f.url = serve(t, mux)
	return f
}

// serve runs a server in this process and returns its URL.
func serve(t *testing.T, mux *gldap.Mux) string {
	t.Helper()
	server, err := gldap.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Router(mux); err != nil {
		t.Fatal(err)
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	probe.Close()
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(address) })
	t.Cleanup(func() { _ = server.Stop(); running.Wait() })
	ldaptest.Eventually(t, "the server runs", server.Ready)
	return "ldap://" + address
}

func faultyConfig(urls ...string) ldapauth.Config {
	return ldapauth.Config{
		Name: "corp", URLs: urls, InsecurePlaintext: true, BindDN: "cn=service", BindPassword: "secret", BaseDNs: []string{"dc=test"},
		Schema: preset("openldap"), Domains: []string{"example.test"},
		RefusalTime: time.Millisecond, Timeout: 10 * time.Second, Log: zerolog.Nop(),
	}
}

func TestServerSaysItCannot(t *testing.T) {
	t.Parallel()
	f := startFaulty(t)
	d := open(t, faultyConfig(f.url))
	// The server spells attribute names its own way.
	if p := signIn(t, d, "alice", "secret").Person; len(p.Addresses) != 1 || p.ID != "alice-id" || p.Login != "alice" {
		t.Fatalf("the faulty server, in order, answers %+v", p)
	}
	for _, code := range []int{1, 3, 8, 10, 11, 13, 32, 50, 51, 52, 53, 80} {
		f.answer(code, ldap.LDAPResultSuccess)
		res, err := d.Authenticate(context.Background(), "alice", "secret", nil)
		wantOutage(t, res, err)
		res, err = d.Lookup(context.Background(), "alice-id")
		wantOutage(t, res, err)
		if limit := code == ldap.LDAPResultTimeLimitExceeded || code == ldap.LDAPResultAdminLimitExceeded; limit != strings.Contains(identity.Hint(err), "index the login and address attributes") {
			t.Errorf("code %d: %v (%s)", code, err, identity.Hint(err))
		}
	}
	for _, code := range []int{1, 2, 7, 8, 10, 13, 51, 52, 80} {
		f.answer(ldap.LDAPResultSuccess, code)
		res, err := d.Authenticate(context.Background(), "alice", "secret", nil)
		wantOutage(t, res, err)
		if res.Person.ID != "alice-id" {
			t.Errorf("code %d: id %q", code, res.Person.ID)
		}
	}
	for code, want := range map[int]identity.Status{
		19: identity.NotAllowed, 48: identity.NotAllowed, 50: identity.NotAllowed, 53: identity.NotAllowed,
		32: identity.Refused, 49: identity.Refused,
	} {
		f.answer(ldap.LDAPResultSuccess, code)
		wantStatus(t, signIn(t, d, "alice", "secret"), want, false)
	}
}

func TestBusyServerHasASecond(t *testing.T) {
	t.Parallel()
	busy, idle := startFaulty(t), startFaulty(t)
	d := open(t, faultyConfig(busy.url, idle.url))
	busy.answer(ldap.LDAPResultBusy, ldap.LDAPResultBusy)
	wantStatus(t, signIn(t, d, "alice", "secret"), identity.OK, true)
	// A wrong password is an answer: no other server is asked.
	busy.answer(ldap.LDAPResultSuccess, ldap.LDAPResultInvalidCredentials)
	ldaptest.Eventually(t, "the first server is used again", func() bool {
		return signIn(t, d, "alice", "secret").Status == identity.Refused
	})
}

// What comes back is not LDAP at all.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for name, garbage := range map[string]string{
		"HTTP":       "HTTP/1.1 400 Bad Request\r\n\r\n",
		"nothing":    "",
		"zeroes":     string(make([]byte, 1024)),
		"bad length": "\x30\x84\xff\xff\xff\xff\x02\x01\x01",
		"half":       "\x30\x0c\x02\x01\x01\x61",
		"null op":    "\x30\x05\x02\x01\x01\x05\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = c.Read(make([]byte, 1024))
					_, _ = c.Write([]byte(garbage))
					c.Close()
				}
			})
			t.Cleanup(func() { listener.Close(); serving.Wait() })
			d := open(t, faultyConfig("ldap://"+listener.Addr().String()))
			res, err := d.Authenticate(context.Background(), "alice", "secret", nil)
			wantOutage(t, res, err)
		})
	}
}

// Active Directory hides attributes about accounts from a service account without rights: that is logged once.
func TestHiddenAccountAttributes(t *testing.T) {
	t.Parallel()
	f := startFaulty(t)
	person := map[string][]string{
		"dn": {"cn=alice,dc=test"}, "objectGUID": {strings.Repeat("a", 16)}, "sAMAccountName": {"alice"},
		"userAccountControl": {"512"}, "accountExpires": {"0"}, "pwdLastSet": {"134085924000000000"},
	}
	var log ldaptest.Log
	cfg := faultyConfig(f.url)
	cfg.Schema, cfg.Log = preset("activedirectory"), zerolog.New(&log)
	d := open(t, cfg)
	f.hold(person)
	id := signIn(t, d, "alice", "secret").Person.ID
	if strings.Contains(log.String(), "hidden") {
		t.Errorf("nothing is hidden: %s", log.String())
	}
	delete(person, "userAccountControl")
	f.hold(person)
	for range 3 {
		wantStatus(t, lookUp(t, d, id), identity.OK, true)
	}
	if text := log.String(); strings.Count(text, "hidden from the service account") != 1 || !strings.Contains(text, `"attribute":"userAccountControl"`) || !strings.Contains(text, "let bind_dn read it") {
		t.Errorf("the log: %s", text)
	}
}

// A password that is changed while it is checked begins no session: it would pass for one of the new password.
func TestPasswordChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for then, want := range map[int]identity.Status{
		ldap.LDAPResultInvalidCredentials: identity.Refused,
		ldap.LDAPResultSuccess:            identity.OK, // the server itself has stored it anew
	} {
		f := startFaulty(t)
		at := func(time string) map[string][]string {
			return map[string][]string{"dn": {"uid=alice,dc=test"}, "entryUUID": {"alice-id"}, "uid": {"alice"}, "mail": {"alice@example.test"}, "pwdChangedTime": {time}}
		}
		f.hold(at("20260101000000Z"))
		binds := 0
		f.bound = func() {
			binds++
			f.hold(at("20261125180000Z"))
			f.answer(ldap.LDAPResultSuccess, then)
		}
		d := open(t, faultyConfig(f.url))
		res := signIn(t, d, "alice", "secret")
		wantStatus(t, res, want, want == identity.OK)
		if binds != 2 {
			t.Errorf("%d binds", binds)
		}
		wantStatus(t, signIn(t, d, "alice", "secret"), want, want == identity.OK)
		if binds != 3 {
			t.Errorf("%d binds, one more", binds)
		}
	}
}
