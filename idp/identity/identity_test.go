package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
)

func TestDisplayName(t *testing.T) {
	t.Parallel()
	for want, person := range map[string]identity.Person{
		"Alice <A>": {Name: "Alice <A>", Login: "alice", ID: "1"},
		"alice":     {Login: "alice", ID: "1"},
		"1":         {ID: "1"},
	} {
		if got := person.DisplayName(); got != want {
			t.Errorf("%+v is called %q", person, got)
		}
	}
}

func TestValidLoginAndPassword(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ login, password bool }{
		"":                             {false, false},
		"alice":                        {true, true},
		"a b":                          {true, true},
		"tab\there":                    {false, true},
		"nul\x00":                      {false, false},
		"\xff":                         {false, false},
		strings.Repeat("ü", 128):       {true, true},
		strings.Repeat("ü", 128) + "x": {false, true},
		strings.Repeat("x", 1024):      {false, true},
		strings.Repeat("x", 1025):      {false, false},
	} {
		if identity.ValidLogin(text) != want.login || identity.ValidPassword(text) != want.password {
			t.Errorf("%.20q: login %t, password %t", text, identity.ValidLogin(text), identity.ValidPassword(text))
		}
	}
}

// fixed is a directory with one answer.
type fixed struct {
	result identity.Result
	err    error
}

func (f fixed) Authenticate(context.Context, string, string, func(string) bool) (identity.Result, error) {
	return f.result, f.err
}

func (f fixed) Lookup(context.Context, string) (identity.Result, error) { return f.result, f.err }

// TestHostChecksAnswers: a host takes no answer about another person, and no
// address outside its domains.
func TestHostChecksAnswers(t *testing.T) {
	t.Parallel()
	var addresses []browserid.Address
	for _, text := range []string{"a@example.test", "a@elsewhere.test", "a@example.test", "b@example.test"} {
		address, err := browserid.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	down := errors.New("no answer")
	person := func(directory, id string) identity.Result {
		return identity.Result{Status: identity.OK, Person: identity.Person{Directory: directory, ID: id, Addresses: addresses}}
	}
	for name, test := range map[string]struct {
		answer         fixed
		signIn, lookUp bool // without an error
	}{
		"right":             {fixed{result: person("corp", "a")}, true, true},
		"other person":      {fixed{result: person("corp", "b")}, true, false},
		"no id":             {fixed{result: person("corp", "")}, false, false},
		"another directory": {fixed{result: person("guests", "a")}, false, false},
		"refused":           {fixed{result: identity.Result{Status: identity.Refused}}, true, false},
		"throttled":         {fixed{result: identity.Result{Status: identity.Throttled}}, true, false},
		"locked":            {fixed{result: identity.Result{Status: identity.Locked}}, true, true},
		"no status":         {fixed{}, true, false},
		"down":              {fixed{err: down}, false, false},
	} {
		host := identity.Host{Name: "example.test", Directory: test.answer, DirectoryName: "corp", Domains: []string{"example.test"}}
		signedIn, err := host.Authenticate(t.Context(), "a", "x", nil)
		if (err == nil) != test.signIn || err != nil && !errors.Is(err, identity.ErrUnavailable) {
			t.Errorf("%s: sign-in: %v", name, err)
		}
		read, lookErr := host.Lookup(t.Context(), "a")
		if (lookErr == nil) != test.lookUp || lookErr != nil && !errors.Is(lookErr, identity.ErrUnavailable) {
			t.Errorf("%s: look-up: %v", name, lookErr)
		}
		if test.answer.err != nil && !errors.Is(err, down) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
		for _, result := range []identity.Result{signedIn, read} {
			if result.Status == identity.OK && err == nil && lookErr == nil && len(result.Person.Addresses) != 2 {
				t.Errorf("%s: addresses %v", name, result.Person.Addresses)
			}
		}
	}
}
