package ldapauth_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/jimlambrt/gldap"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/schema"
)

var update = flag.Bool("update", false, "write testdata/searches.golden anew")

// The questions of a sign-in and of a re-check, for every preset: those that no real server was there for can be compared
// with the documentation of theirs.
func TestSearchesOfPresets(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, name := range schema.Presets() {
		s := preset(name)
		tried := s.Tried
		if tried == "" {
			tried = "by documentation"
		}
		fmt.Fprintf(&got, "# %s, %s\n", name, tried)
		s.MailIsAdminOnly = true
		asked := recorder{answer: map[string][]string{s.ID.Attribute: {"0123456789abcdef"}}}
		if s.LoginAttributes[0] != s.ID.Attribute {
			asked.answer[s.LoginAttributes[0]] = []string{"jdoe"}
		}
		asked.answer[s.AddressAttributes[0]] = []string{"jdoe@example.test"}
		cfg := faultyConfig(asked.serve(t))
		cfg.Schema, cfg.BaseDNs, cfg.Groups = s, []string{"dc=example,dc=test"}, true
		d := open(t, cfg)
		res := signIn(t, d, "jdoe", ldaptest.Password)
		wantStatus(t, res, identity.OK, true)
		fmt.Fprintf(&got, "sign-in:\n%s", asked.take())
		signIn(t, d, "JDoe@example.test", ldaptest.Password)
		fmt.Fprintf(&got, "sign-in by address:\n%s", asked.take())
		if s.WindowsNames {
			signIn(t, d, `EXAMPLE\jdoe`, ldaptest.Password)
			fmt.Fprintf(&got, "sign-in by DOMAIN\\name:\n%s", asked.take())
		}
		wantStatus(t, lookUp(t, d, res.Person.ID), identity.OK, true)
		fmt.Fprintf(&got, "re-check:\n%s\n", asked.take())
	}
	const golden = "testdata/searches.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the searches differ; read what changed, then run with -update (-want +got):\n%s", diff)
	}
}

// recorder is a server that writes down what it is asked. It has one person, and no groups.
type recorder struct {
	answer map[string][]string

	mu    sync.Mutex
	asked strings.Builder
}

func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.asked.Reset()
	return r.asked.String()
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.asked, format, args...)
}

func (r *recorder) serve(t *testing.T) string {
	t.Helper()
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	_ = mux.Bind(func(w *gldap.ResponseWriter, q *gldap.Request) {
		if m, err := q.GetSimpleBindMessage(); err == nil && m.UserName != "cn=service" {
			r.note("  bind %s\n", m.UserName)
		}
		_ = w.Write(q.NewBindResponse(gldap.WithResponseCode(ldap.LDAPResultSuccess)))
	})
	_ = mux.Search(func(w *gldap.ResponseWriter, q *gldap.Request) {
		m, err := q.GetSearchMessage()
		if err != nil {
			t.Error(err)
			return
		}
		r.note("  search %s\n    %s\n    for %s\n", m.BaseDN, m.Filter, strings.Join(m.Attributes, " "))
		if !strings.Contains(strings.ToLower(m.Filter), "member") {
			_ = w.Write(q.NewSearchResponseEntry("uid=jdoe,dc=example,dc=test", gldap.WithAttributes(r.answer)))
		}
		_ = w.Write(q.NewSearchDoneResponse(gldap.WithResponseCode(ldap.LDAPResultSuccess)))
	})
	return serve(t, mux)
}

// Address attributes that the server's schema lacks are not asked for, once a ping has read it.
func TestAbsentAttributes(t *testing.T) {
	t.Parallel()
	asked := recorder{answer: map[string][]string{
		"entryUUID": {"0123456789abcdef"}, "uid": {"jdoe"}, "mail": {"jdoe@example.test"}, "subschemaSubentry": {"cn=Subschema"},
		"attributeTypes": {
			"( 1.3.6.1.1.16.4 NAME 'entryUUID' EQUALITY UUIDMatch )", "( 2.5.4.0 NAME 'objectClass' DESC 'the NAME of it' )",
			"( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) DESC 'x' )", "( 1.2 NAME 'MAILLOCALADDRESS' X-ORIGIN 'zimbraMailAlias' )", "( 1.3 )", "", "( 1.4 NAME '",
		},
	}}
	cfg := faultyConfig(asked.serve(t))
	d := open(t, cfg)
	signInAs := func() string {
		t.Helper()
		asked.take()
		wantStatus(t, signIn(t, d, "jdoe", ldaptest.Password), identity.OK, true)
		return asked.take()
	}
	if text := signInAs(); strings.Count(text, "zimbraMailAlias") != 3 || strings.Count(text, "mailLocalAddress") != 3 {
		t.Errorf("before the schema is known: %s", text)
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := signInAs(); contains(text, "zimbraMailAlias") || strings.Count(text, "mailLocalAddress") != 3 || !contains(text, "(mail=jdoe@example.test)") {
		t.Errorf("with the schema: %s", text)
	}
	asked.take()
	if err := d.Ping(t.Context()); err != nil || strings.Count(asked.take(), "search") != 1 {
		t.Errorf("the schema is read at every ping, %v", err)
	}
}
