package ldapauth_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/schema"
)

// The servers of all tests that change nothing that others read.
var (
	sharedServers = map[ldaptest.Kind]*ldaptest.Shared{
		ldaptest.Slapd: {Start: func(dir string) (*ldaptest.Server, error) {
			return ldaptest.Start(dir, ldaptest.Options{LDIF: ldaptest.CompanyOf(1000)})
		}},
		ldaptest.DS389:   {Start: ldaptest.Start389},
		ldaptest.SambaAD: {Start: ldaptest.StartSamba},
	}
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, server := range sharedServers {
		server.Stop()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func sharedSlapd(tb testing.TB) *ldaptest.Server {
	tb.Helper()
	return sharedServers[ldaptest.Slapd].Server(tb)
}

// onEach runs a test against every kind of server, started once for all tests.
func onEach(t *testing.T, test func(*testing.T, *ldaptest.Server)) {
	t.Helper()
	for kind, server := range sharedServers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, server.Server(t))
		})
	}
}

// preset returns a preset that there is.
func preset(name string) schema.Schema {
	s, err := schema.Preset(name)
	if err != nil {
		panic(err)
	}
	return s
}

// config speaks ldaps to the server and refuses without delay.
func config(s *ldaptest.Server) ldapauth.Config {
	return ldapauth.Config{
		Name: "corp", URLs: []string{s.LDAPSURL()}, Roots: s.Roots(),
		BindDN: s.BindDN, BindPassword: ldapauth.Secret(s.BindPassword), BaseDNs: []string{s.BaseDN},
		Schema: preset(s.Kind.Preset()), Domains: []string{"example.test", "example.net"},
		RefusalTime: time.Millisecond, Log: zerolog.Nop(),
	}
}

func open(tb testing.TB, cfg ldapauth.Config) *ldapauth.Directory {
	tb.Helper()
	d, err := ldapauth.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// texts returns addresses as they are read.
func texts(addresses []browserid.Address) []string {
	var list []string
	for _, address := range addresses {
		list = append(list, address.String())
	}
	return list
}

// signIn expects an answer of any status, without a gate.
func signIn(tb testing.TB, d *ldapauth.Directory, login, password string) identity.Result {
	tb.Helper()
	return signInThrough(tb, d, nil, login, password)
}

// signInThrough is signIn with a gate.
func signInThrough(tb testing.TB, d *ldapauth.Directory, gate func(id string) bool, login, password string) identity.Result {
	tb.Helper()
	res, err := d.Authenticate(context.Background(), login, password, gate)
	if err != nil {
		tb.Fatalf("signing in as %q: %v", login, err)
	}
	return res
}

func lookUp(tb testing.TB, d *ldapauth.Directory, id string) identity.Result {
	tb.Helper()
	res, err := d.Lookup(context.Background(), id)
	if err != nil {
		tb.Fatalf("looking up %q: %v", id, err)
	}
	return res
}

func wantStatus(tb testing.TB, res identity.Result, status identity.Status, mayTell bool) {
	tb.Helper()
	if res.Status != status || res.MayTell != mayTell {
		tb.Errorf("status %q, may tell %t; want %q, %t", res.Status, res.MayTell, status, mayTell)
	}
}
