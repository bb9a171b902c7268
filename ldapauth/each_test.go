package ldapauth_test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// anew makes a name that no entry has, however often the tests run.
func anew(name string) string { return name + strconv.FormatInt(time.Now().UnixNano(), 36) }

// object makes an entry, attribute by attribute: name, value, name, value.
func object(dn string, attributes ...string) *ldap.AddRequest {
	req := ldap.NewAddRequest(dn, nil)
	for i := 0; i < len(attributes); i += 2 {
		req.Attribute(attributes[i], strings.Split(attributes[i+1], "\n"))
	}
	return req
}

// Direct members, members of members, groups that are members of one another, and
// on Active Directory the group that is in no memberOf.
func TestRequiredGroupOnEach(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		class, nina := "groupOfNames", s.DN("nina")
		if s.Kind == ldaptest.SambaAD {
			class = "group"
		}
		first, second := anew("ring"), anew("ring, too")
		s.Add(object(s.GroupDN(first), "objectClass", class, "member", nina))
		s.Add(object(s.GroupDN(second), "objectClass", class, "member", s.GroupDN(first)))
		ring := ldap.NewModifyRequest(s.GroupDN(first), nil)
		ring.Add("member", []string{s.GroupDN(second)})
		s.Modify(ring)
		for _, c := range []struct {
			group   string
			members string
		}{
			{s.GroupDN("staff"), "alice nina"},
			{strings.ToUpper(s.GroupDN("staff")), "alice nina"},
			{"staff", "alice nina"},
			{"team", "nina"},
			{first, "nina"},
			{s.GroupDN(second), "nina"},
			{"Domain Users", "alice nina leo"},
		} {
			if c.group == "Domain Users" && s.Kind != ldaptest.SambaAD {
				continue
			}
			cfg := config(s)
			cfg.RequiredGroup = c.group
			d := open(t, cfg)
			for _, login := range []string{"alice", "nina", "leo"} {
				want := identity.NotInGroup
				if strings.Contains(c.members, login) {
					want = identity.OK
				}
				res := signIn(t, d, login, ldaptest.Password)
				if again := lookUp(t, d, res.Person.ID); res.Status != want || again.Status != want {
					t.Errorf("%s in %s: %v, looked up %v; want %v", login, c.group, res.Status, again.Status, want)
				}
			}
		}
	})
}

// A base whose name is full of characters that mean something in a DN.
func TestOddBase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		base := "OU=" + strings.ReplaceAll(ldap.EscapeDN(anew(ldaptest.OddName)), "=", `\3D`) + "," + s.BaseDN
		s.Add(object(base, "objectClass", "organizationalUnit"))
		login := anew("inside")
		dn := s.AddPerson(login, ldaptest.Password, login+"@example.test")
		rdn, _, _ := strings.Cut(dn, ",")
		s.Rename(ldap.NewModifyDNRequest(dn, rdn, true, base))
		cfg := config(s)
		cfg.BaseDNs = []string{base}
		d := open(t, cfg)
		if got := texts(signIn(t, d, login, ldaptest.Password).Person.Addresses); len(got) != 1 {
			t.Errorf("addresses %v", got)
		}
		wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.Refused, false)
		if err := d.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A service account whose password has to be changed answers nothing, and the
// operator is told why.
func TestServiceAccountMustChange(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		dn := s.AddPerson(anew("tired"), ldaptest.Password)
		switch s.Kind {
		case ldaptest.Slapd:
			s.Replace(dn, "pwdReset", "TRUE")
		case ldaptest.DS389:
			s.Replace(dn, "passwordExpirationTime", "19700101000000Z")
		case ldaptest.SambaAD:
			s.Replace(dn, "pwdLastSet", "0")
		}
		cfg := config(s)
		cfg.BindDN, cfg.BindPassword = dn, ldapauth.Secret(ldaptest.Password)
		_, err := open(t, cfg).Authenticate(t.Context(), "alice", ldaptest.Password, nil)
		if err == nil || !strings.Contains(withHint(err), "password") || strings.Contains(withHint(err), ldaptest.Password) {
			t.Errorf("the error is %s", withHint(err))
		}
	})
}

// A server that stops searching halfway has not said that there is no such person.
func TestSearchLimits(t *testing.T) {
	t.Parallel()
	s := sharedServers[ldaptest.DS389].Server(t)
	dn := s.AddPerson(anew("limited"), ldaptest.Password)
	s.Replace(dn, "nsLookThroughLimit", "1")
	aci := ldap.NewModifyRequest(s.BaseDN, nil)
	aci.Add("aci", []string{`(targetattr != "userPassword")(version 3.0; acl "limited"; allow (read, search, compare) userdn = "ldap:///` + dn + `";)`})
	s.Modify(aci)
	cfg := config(s)
	cfg.BindDN, cfg.BindPassword = dn, ldapauth.Secret(ldaptest.Password)
	cfg.Schema.LoginAttributes = []string{"description"} // which has no index
	for _, login := range []string{"alice", "stranger"} {
		if res, err := open(t, cfg).Authenticate(t.Context(), login, ldaptest.Password, nil); err == nil || !strings.Contains(identity.Hint(err), "index") {
			t.Errorf("%s: %v, %v, hint %q", login, res.Status, err, identity.Hint(err))
		}
	}
}

func TestTenThousandPeople(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{LDIF: ldaptest.CompanyOf(10_000)})
	d := open(t, config(s))
	for _, login := range []string{"user00001", "user10000", "user05000@example.test"} {
		wantStatus(t, signIn(t, d, login, ldaptest.Password), identity.OK, true)
	}
	for _, login := range []string{"user10001", "user*", "*"} {
		wantStatus(t, signIn(t, d, login, ldaptest.Password), identity.Refused, false)
	}
}

// A referral names another server, which must not be asked, with or without the
// password. The root of an Active Directory always has some.
func TestReferralsAreNotFollowed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		visited := make(chan struct{})
		go func() {
			if c, err := elsewhere.Accept(); err == nil {
				c.Close()
				close(visited)
			}
		}()
		cn := anew("elsewhere")
		referral := "cn=" + cn + ",ou=people," + s.BaseDN
		if s.Kind != ldaptest.SambaAD {
			s.Add(object(referral, "objectClass", "referral\nextensibleObject", "cn", cn,
				"ref", "ldap://"+elsewhere.Addr().String()+"/ou=people,"+s.BaseDN))
		}
		d := open(t, config(s))
		res := signIn(t, d, "alice", ldaptest.Password)
		wantStatus(t, res, identity.OK, true)
		wantStatus(t, lookUp(t, d, res.Person.ID), identity.OK, true)
		wantStatus(t, signIn(t, d, "stranger", ldaptest.Password), identity.Refused, false)
		elsewhere.Close()
		select {
		case <-visited:
			t.Error("the referral was followed")
		default:
		}

		cfg := config(s)
		cfg.BaseDNs = []string{referral}
		if s.Kind == ldaptest.SambaAD {
			cfg.BaseDNs = []string{"DC=other,DC=test"}
		}
		if err := open(t, cfg).Ping(t.Context()); err == nil || !contains(withHint(err), "hint") {
			t.Errorf("a base on another server: %v", err)
		}
	})
}
