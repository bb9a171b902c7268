package app_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"

	"github.com/go-ldap/ldap/v3"
)

// perKind is an attribute and its value on each kind of directory.
type perKind map[ldaptest.Kind][2]string

// reasons are what the log says of the end of a session on each kind of directory.
type reasons map[ldaptest.Kind]string

func everywhere(reason string) reasons {
	return reasons{ldaptest.Slapd: reason, ldaptest.DS389: reason, ldaptest.SambaAD: reason}
}

// changes are what can happen to a person who has signed in. Most take the right to certificates away.
var changes = []struct {
	name   string
	set    perKind                                    // what is written into the entry, and
	change func(s *ldaptest.Server, dn, login string) // what else happens
	ends   reasons                                    // the session; nil: it goes on
	denied bool                                       // a certificate, although the session goes on
}{
	{name: "nothing"},
	{name: "disabled", set: perKind{
		ldaptest.Slapd:   {"pwdAccountLockedTime", "000001010000Z"},
		ldaptest.DS389:   {"nsAccountLock", "TRUE"},
		ldaptest.SambaAD: {"userAccountControl", "514"},
	}, ends: reasons{ldaptest.Slapd: "locked", ldaptest.DS389: "disabled", ldaptest.SambaAD: "disabled"}},
	{name: "expired", set: perKind{
		ldaptest.Slapd:   {"shadowExpire", "1"},
		ldaptest.DS389:   {"passwordExpirationTime", "20200101000000Z"},
		ldaptest.SambaAD: {"accountExpires", "132223104000000000"},
	}, ends: reasons{ldaptest.Slapd: "expired", ldaptest.DS389: "password_expired", ldaptest.SambaAD: "expired"}},
	{name: "must change", set: perKind{
		ldaptest.Slapd:   {"pwdReset", "TRUE"},
		ldaptest.DS389:   {"passwordExpirationTime", "19700101000000Z"},
		ldaptest.SambaAD: {"pwdLastSet", "0"},
	}, ends: everywhere("must_change")},
	{name: "password changed", ends: everywhere("password_changed"), change: func(s *ldaptest.Server, dn, _ string) {
		s.ChangePassword(dn, ldaptest.Password, "another password")
	}},
	{
		name: "password set by an administrator", change: func(s *ldaptest.Server, dn, _ string) { s.SetPassword(dn, "another password") },
		ends: reasons{ldaptest.Slapd: "must_change", ldaptest.DS389: "must_change", ldaptest.SambaAD: "password_changed"},
	},
	{name: "group lost", ends: everywhere("not_in_group"), change: func(s *ldaptest.Server, dn, _ string) { leave(s, dn) }},
	{name: "address lost", denied: true, change: func(s *ldaptest.Server, dn, login string) {
		s.Replace(dn, "mail", login+".new@example.test")
	}},
	{name: "address given to another", denied: true, change: func(s *ldaptest.Server, _, login string) {
		s.AddPerson(login+"-heir", ldaptest.Password, login+"@example.test")
	}},
	{name: "deleted", ends: everywhere("gone"), change: func(s *ldaptest.Server, dn, _ string) { s.Delete(dn) }},
	{name: "name reused", ends: everywhere("gone"), change: func(s *ldaptest.Server, dn, login string) {
		leave(s, dn)
		s.Delete(dn)
		s.AddPerson(login, ldaptest.Password, login+"@example.test")
		join(s, dn)
	}},
	{name: "locked by wrong passwords", change: func(s *ldaptest.Server, dn, _ string) { s.Guess(dn) }},
	{name: "renamed", change: func(s *ldaptest.Server, dn, _ string) {
		rdn, _, _ := strings.Cut(dn, "=")
		s.Rename(ldap.NewModifyDNRequest(dn, rdn+"=renamed", true, ""))
	}},
}

// sessionEnd finds the reasons in the log.
var sessionEnd = regexp.MustCompile(`"event":"session_end".*"reason":"(\w+)"`)

func join(s *ldaptest.Server, dn string) {
	request := ldap.NewModifyRequest(s.GroupDN("staff"), nil)
	request.Add("member", []string{dn})
	s.Modify(request)
}

func leave(s *ldaptest.Server, dn string) {
	request := ldap.NewModifyRequest(s.GroupDN("staff"), nil)
	request.Delete("member", []string{dn})
	s.Modify(request)
}

// TestLeavers: a person who has a certificate and loses a right gets no other one five minutes after, in each
// kind of directory; and one who loses none goes on.
func TestLeavers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(string) (*ldaptest.Server, error){
		"slapd":    func(dir string) (*ldaptest.Server, error) { return ldaptest.Start(dir, ldaptest.Options{}) },
		"389-ds":   ldaptest.Start389,
		"Samba AD": ldaptest.StartSamba,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := ldaptest.Shared{Start: start}
			t.Cleanup(shared.Stop)
			testLeavers(t, shared.Server(t))
		})
	}
}

func testLeavers(t *testing.T, s *ldaptest.Server) {
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += oneDomain(website(t).URL) + directoryYAML(t, folder, s) + "    required_group: " + s.GroupDN("staff") + "\n"
	clock := &wrongClock{}
	p := startAt(t, folder, yaml, clock.now)
	waitForKeys(t, p)
	visit := &visitors{t: t, roots: roots}

	request := certificateRequest(t, "LOGIN@example.test")
	certified := func(cookie, login string) bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/persona/api/certificate", strings.NewReader(strings.Replace(request, "LOGIN", login, 1)))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Cookie": cookie, "Content-Type": "application/json", "Origin": "https://example.test", "Sec-Fetch-Site": "same-origin",
		} {
			r.Header.Set(name, value)
		}
		response, err := p.client(roots).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := read(t, response)
		if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", login, response.StatusCode, body)
		}
		return response.StatusCode == http.StatusOK
	}
	login := func(i int) string { return "leaver" + string(rune('a'+i)) }
	cookies := make([]string, len(changes))
	dns := make([]string, len(changes))
	for i, c := range changes {
		dns[i] = s.AddPerson(login(i), ldaptest.Password, login(i)+"@example.test")
		join(s, dns[i])
		cookies[i] = visit.signIn(p, login(i))
		if !certified(cookies[i], login(i)) {
			t.Errorf("%s: no certificate before", c.name)
		}
	}
	for i, c := range changes {
		if set, ok := c.set[s.Kind]; ok {
			s.Replace(dns[i], set[0], set[1])
		}
		if c.change != nil {
			c.change(s, dns[i], login(i))
		}
	}
	clock.set(5 * time.Minute)
	for i, c := range changes {
		ended := len(sessionEnd.FindAllString(p.log.String(), -1))
		if got, want := certified(cookies[i], login(i)), c.ends == nil && !c.denied; got != want {
			t.Errorf("%s: a certificate five minutes after: %t", c.name, got)
		}
		reason := ""
		for _, end := range sessionEnd.FindAllStringSubmatch(p.log.String(), -1)[ended:] {
			reason = end[1]
		}
		if reason != c.ends[s.Kind] {
			t.Errorf("%s ended the session because of %q, want %q", c.name, reason, c.ends[s.Kind])
		}
	}
}
