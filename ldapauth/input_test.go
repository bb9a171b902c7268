package ldapauth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// Nothing listens at the address of this directory, so anything but an error
// was answered without asking it.
func TestRefusedBeforeAnyIO(t *testing.T) {
	t.Parallel()
	d := open(t, ldapauth.Config{
		Name: "corp", URLs: []string{"ldaps://127.0.0.1:1"}, BaseDNs: []string{"dc=example,dc=test"},
		Schema: preset("openldap"), RefusalTime: time.Millisecond,
	})
	for name, c := range map[string]struct{ login, password string }{
		"empty password":         {"alice", ""},
		"empty login":            {"", "secret"},
		"both empty":             {"", ""},
		"NUL in the login":       {"alice\x00", "secret"},
		"NUL in the password":    {"alice", "\x00"},
		"NUL after the password": {"alice", "secret\x00"},
		"line break in login":    {"ali\nce", "secret"},
		"login not UTF-8":        {"\xff\xfe", "secret"},
		"password not UTF-8":     {"alice", "\xc3\x28"},
		"huge login":             {strings.Repeat("a", 257), "secret"},
		"huge password":          {"alice", strings.Repeat("a", 1025)},
		"huger password":         {"alice", strings.Repeat("a", 64<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, signIn(t, d, c.login, c.password), identity.Refused, false)
		})
	}
	if _, err := d.Authenticate(context.Background(), "alice", "secret", nil); err == nil {
		t.Error("a question that must be asked was not")
	}
}

func TestLargestInputIsAsked(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	wantStatus(t, signIn(t, d, strings.Repeat("a", 256), "secret"), identity.Refused, false)
	wantStatus(t, signIn(t, d, "victor", strings.Repeat("ü", 512)), identity.Refused, false)
}

func TestInjection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		d := open(t, config(s))
		for _, login := range []string{
			"*", "ali*", "alice)(uid=*", "alice)(|(uid=*)", "*)(objectClass=*", `\2a`, `ali\2a`, "alice\\", "(", ")", "()",
			"alice))(|(uid=alice", "!(uid=x)", "uid=alice", "uid=alice,ou=people,dc=example,dc=test", "alice#", "&", "|",
			"st*", `st\2ar\28x\29\5cy`, "\u202ealice", "alice\u200b", "ａｌｉｃｅ*", "😀",
		} {
			t.Run(login, func(t *testing.T) {
				res := signIn(t, d, login, ldaptest.Password)
				wantStatus(t, res, identity.Refused, false)
				if res.Person.ID != "" {
					t.Errorf("it found %q", res.Person.ID)
				}
			})
		}
	})
}

func TestAmbiguousNameIsLogged(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	var log ldaptest.Log
	cfg := config(s)
	cfg.Log = zerolog.New(&log).Level(zerolog.InfoLevel)
	d := open(t, cfg)
	wantStatus(t, signIn(t, d, "sam", ldaptest.Password), identity.Refused, false)
	if text := log.String(); !contains(text, `"level":"warn"`) || !contains(text, ldaptest.PersonDN("sam")) || !contains(text, "ou=branch") || !contains(text, "hint") {
		t.Errorf("the log is no help: %s", text)
	}
	if contains(log.String(), "(uid=") {
		t.Errorf("the filter is logged at this level: %s", log.String())
	}
	wantStatus(t, signIn(t, d, "sam.stone@example.test", ldaptest.Password), identity.OK, true)

	// More entries than are asked for: the server cuts the answer off.
	for _, unit := range []string{"a", "b", "c"} {
		req := ldap.NewAddRequest("uid=sam+sn="+unit+",ou=people,dc=example,dc=test", nil)
		req.Attribute("objectClass", []string{"inetOrgPerson"})
		req.Attribute("uid", []string{"sam"})
		req.Attribute("sn", []string{unit})
		req.Attribute("cn", []string{"Sam"})
		req.Attribute("userPassword", []string{ldaptest.Password})
		s.Add(req)
	}
	wantStatus(t, signIn(t, d, "sam", ldaptest.Password), identity.Refused, false)
}

func TestAliasesAreNotDereferenced(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	req := ldap.NewAddRequest("uid=nickname,ou=people,dc=example,dc=test", nil)
	req.Attribute("objectClass", []string{"alias", "extensibleObject"})
	req.Attribute("uid", []string{"nickname"})
	req.Attribute("aliasedObjectName", []string{ldaptest.PersonDN("alice")})
	s.Add(req)
	d := open(t, config(s))
	wantStatus(t, signIn(t, d, "nickname", ldaptest.Password), identity.Refused, false)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
}

// Every refusal takes the configured time at least, whatever its reason.
func TestRefusalTime(t *testing.T) {
	t.Parallel()
	const floor = 300 * time.Millisecond
	cfg := config(sharedSlapd(t))
	cfg.RefusalTime = floor
	d := open(t, cfg)
	refuseAll := func(string) bool { return false }
	for name, refuse := range map[string]func() identity.Result{
		"unknown":   func() identity.Result { return signIn(t, d, "stranger", "wrong") },
		"wrong":     func() identity.Result { return signIn(t, d, "user00002", "wrong") },
		"ambiguous": func() identity.Result { return signIn(t, d, "sam", ldaptest.Password) },
		"locked":    func() identity.Result { return signIn(t, d, "dave", ldaptest.Password) },
		"throttled": func() identity.Result { return signInThrough(t, d, refuseAll, "bob", ldaptest.Password) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			res := refuse()
			if took := time.Since(started); took < floor || res.MayTell || res.Status == identity.OK {
				t.Errorf("%v after %v, want a refusal after at least %v", res.Status, took, floor)
			}
		})
	}
}

func TestRefusalTimeEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cfg := config(sharedSlapd(t))
	cfg.RefusalTime = time.Hour
	gate := func(string) bool { cancel(); return false }
	res, err := open(t, cfg).Authenticate(ctx, "bob", "wrong", gate)
	if err != nil || res.Status != identity.Throttled {
		t.Errorf("%v, %v", res.Status, err)
	}
}
