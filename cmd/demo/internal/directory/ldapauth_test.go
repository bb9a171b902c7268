package directory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/schema"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
)

// connect joins the program's own LDAP client to the directory, as the demo's configuration does.
func connect(t *testing.T, w world, domains ...string) *ldapauth.Directory {
	t.Helper()
	openldap, err := schema.Preset("openldap")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ldapauth.New(ldapauth.Config{
		Name: "company", URLs: []string{w.server.URL()}, Roots: w.roots,
		BindDN: w.server.BindDN(), BindPassword: servicePassword, BaseDNs: []string{w.server.BaseDN()},
		Schema: openldap, Groups: true, Domains: domains, RefusalTime: time.Millisecond, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestSignIn: what the directory says reaches the program as it is meant.
func TestSignIn(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t), "example.localhost")
	for name, test := range map[string]struct {
		login, password string
		want            identity.Status
	}{
		"by login":          {"alice", "wonderland", identity.OK},
		"by address":        {"SALES@example.localhost", "wonderland", identity.OK},
		"wrong password":    {"alice", "wonder", identity.Refused},
		"no password":       {"alice", "", identity.Refused},
		"unknown":           {"mallory", "wonderland", identity.Refused},
		"a filter":          {"alice)(uid=*", "wonderland", identity.Refused},
		"a wildcard":        {"*", "wonderland", identity.Refused},
		"the service":       {"persona", servicePassword, identity.Refused},
		"has no address":    {"carol", "singing", identity.OK},
		"must change":       {"dave", "first-day", identity.MustChange},
		"must change, lies": {"dave", "second-day", identity.Refused},
		"locked":            {"erin", "too-often", identity.LockedForNow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := client.Authenticate(t.Context(), test.login, test.password, nil)
			if err != nil || got.Status != test.want {
				t.Errorf("%v, %v; want %v", got.Status, err, test.want)
			}
		})
	}
}

func TestPerson(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t), "example.localhost")
	signedIn, err := client.Authenticate(t.Context(), "alice", "wonderland", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.Lookup(t.Context(), signedIn.Person.ID)
	if err != nil || again.Status != identity.OK {
		t.Fatalf("%v, %v", again.Status, err)
	}
	got := again.Person
	if got.PasswordChanged.IsZero() || len(got.Groups) != 2 {
		t.Errorf("operational attributes are missing: %+v", got)
	}
	got.PasswordChanged, got.Groups = time.Time{}, nil
	want := identity.Person{
		Directory: "company", ID: signedIn.Person.ID, Login: "alice",
		Name:      "Alice Ångström",
		Addresses: got.Addresses,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(browserid.Address{})); diff != "" {
		t.Error(diff)
	}
	if told := fmt.Sprint(got.Addresses); told != "[alice@example.localhost sales@example.localhost]" {
		t.Errorf("addresses %s", told)
	}
	if gone, err := client.Lookup(t.Context(), "00000000-0000-8000-8000-000000000000"); err != nil || gone.Status != identity.Gone {
		t.Errorf("a person who never was: %v, %v", gone.Status, err)
	}
}

func TestPingAndOutage(t *testing.T) {
	t.Parallel()
	w := start(t)
	client := connect(t, w, "example.localhost")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := w.server.Close(); err != nil {
		t.Error(err)
	}
	if got, err := client.Authenticate(ctx, "alice", "wonderland", nil); err == nil {
		t.Errorf("a directory that is down answered %v", got.Status)
	}
}
