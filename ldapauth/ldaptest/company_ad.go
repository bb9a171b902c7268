package ldaptest

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	adPeople         = "CN=Users," + ADBaseDN
	lockoutThreshold = 4 // wrong passwords that lock an account
	maxPasswordAge   = 42 * 24 * time.Hour
)

// adAccount is a person, in the state that userAccountControl says.
func adAccount(login, name, password, control string) entry {
	rdn := "CN=" + strings.ReplaceAll(ldap.EscapeDN(name), "=", `\=`) // Samba wants it escaped
	return entry{dn: rdn + "," + adPeople}.with("objectClass", "user").with("sAMAccountName", login).
		with("displayName", name).with("unicodePwd", quotedUTF16(password)).with("userAccountControl", control)
}

// adCompany is Company in an Active Directory.
func adCompany() []entry {
	const enabled, disabled = "512", "514"
	addressless := func(login, name, password string) entry {
		return adAccount(login, name, password, enabled).with("userPrincipalName", login+"@ad.example.test")
	}
	person := func(login, name string) entry {
		return addressless(login, name, Password).with("mail", login+"@example.test")
	}
	group := func(name string, members ...string) entry {
		return entry{dn: "CN=" + name + "," + adPeople}.with("objectClass", "group").with("sAMAccountName", name).with("member", members...)
	}
	alice := person("alice", "Alice Adams").with("proxyAddresses", "SMTP:alice@example.test", "smtp:a.adams@example.test", "smtp:Alice@Example.NET", "smtp:alice.adams@example.test")
	nina := person("nina", "Nina North")
	return []entry{
		addressless("persona", "persona", servicePassword),
		alice,
		addressless("bob", "Bob Brown", Password).with("mail", "Bob.Brown@Example.TEST"),
		person("carol", "Carol Clark").with("pwdLastSet", "0"),
		adAccount("dave", "Dave Davis", Password, disabled).with("mail", "dave@example.test"),
		person("erin", "Erin Evans").with("accountExpires", fileTime(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))),
		person("frank", "Frank Fox"),
		person("heidi", "Heidi Hill").with("proxyAddresses", "smtp:shared@example.test"),
		person("hugo", "Hugo Hours").with("logonHours", strings.Repeat("\x00", 21)),
		person("ivan", "Ivan Ivory").with("proxyAddresses", "SMTP:Shared@example.test"),
		addressless("juergen", "Jürgen Müller", Password).with("mail", "juergen.mueller@example.test"),
		addressless("kate", "Kate King", Password).with("mail", "kate@elsewhere.example"),
		addressless("leo", "Leo Long", Password),
		person("lou", "Lou Lane"),
		addressless("max", "Max Moss", LongPassword).with("mail", "max@example.test"),
		nina,
		addressless("pat", "Pat Pound", OddPassword).with("mail", "pat@example.test"),
		addressless("plus", "Paul Plus", Password).with("mail", "plus+tag@example.test"),
		person("quentin", OddName),
		addressless("spacey", "Susan Space", Password).with("mail", "spacey@example.test "),
		addressless("uma", "Uma Upton", UmlautPassword).with("mail", "uma@example.test"),
		adAccount("ursula", "Ursula Upper", Password, enabled).with("mail", "ursula@example.test").with("userPrincipalName", "u.upper@corp.example"),
		person("victor", "Victor Vance").
			with("proxyAddresses", "smtp:vic@example.test", "SMTP:v.vance@example.test", "sip:talk@example.test",
				"X400:c=de;a= ;p=Example;s=Vance;g=Victor;", "noreply@example.test"),
		person("wendy", "Wendy White").with("userWorkstations", "ELSEWHERE"),
		entry{dn: "CN=contact," + adPeople}.with("objectClass", "contact").with("proxyAddresses", "smtp:alice.adams@example.test"),
		addressless("zoë", "Zoë Zeller", Password).with("mail", "zoe@example.test"),
		group("team", nina.dn),
		group("staff", alice.dn, "CN=team,"+adPeople),
		// The lock-out of the domain would stop tests that type wrong passwords.
		entry{dn: "CN=patient,CN=Password Settings Container,CN=System," + ADBaseDN}.with("objectClass", "msDS-PasswordSettings").
			with("msDS-PasswordSettingsPrecedence", "1").with("msDS-PasswordReversibleEncryptionEnabled", "FALSE").
			with("msDS-PasswordHistoryLength", "0").with("msDS-PasswordComplexityEnabled", "FALSE").
			with("msDS-MinimumPasswordLength", "1").with("msDS-MinimumPasswordAge", "0").
			with("msDS-MaximumPasswordAge", interval(maxPasswordAge)).with("msDS-LockoutThreshold", "0").
			with("msDS-LockoutObservationWindow", interval(time.Minute)).with("msDS-LockoutDuration", interval(time.Minute)).
			with("msDS-PSOAppliesTo", "CN=Bob Brown,"+adPeople, "CN=Carol Clark,"+adPeople, "CN=Dave Davis,"+adPeople,
				"CN=Erin Evans,"+adPeople, "CN=Frank Fox,"+adPeople),
	}
}

// fillAD adds the company to a new Active Directory, whose password rules are
// made lax but for the lock-out.
func (s *Server) fillAD(samba samba) error {
	conn, err := s.connect(s.rootDN, s.rootPassword)
	if err != nil {
		return fmt.Errorf("filling the directory: %w", err)
	}
	defer conn.Close()
	rules := ldap.NewModifyRequest(ADBaseDN, nil)
	for name, value := range map[string]string{
		"pwdProperties": "0", "minPwdLength": "1", "pwdHistoryLength": "0", "minPwdAge": "0", "maxPwdAge": interval(maxPasswordAge),
		"lockoutThreshold": fmt.Sprint(lockoutThreshold), "lockoutDuration": interval(30 * time.Minute), "lockOutObservationWindow": interval(30 * time.Minute),
	} {
		rules.Replace(name, []string{value})
	}
	if err := conn.Modify(rules); err != nil {
		return fmt.Errorf("setting the password rules: %w", err)
	}
	for _, e := range adCompany() {
		if err := conn.Add(e.addRequest()); err != nil {
			return fmt.Errorf("adding %s: %w", e.dn, err)
		}
	}
	// No client may write when a password was set: it takes the database itself.
	if err := runToEnd(s.dir, samba.python, "-c", agePassword, s.dir, "CN=Frank Fox,"+adPeople); err != nil {
		return err
	}
	s.Guess("CN=Lou Lane," + adPeople)
	return nil
}

// agePassword makes the password of an account one of the year 2020. The control
// is what lets Samba's own programs write the attribute.
const agePassword = `
import sys, ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

folder, dn = sys.argv[1:]
parameters = LoadParm()
parameters.load(folder + "/smb.conf")
database = SamDB(url=folder + "/ad/private/sam.ldb", lp=parameters, session_info=system_session())
change = ldb.Message(ldb.Dn(database, dn))
change["time"] = ldb.MessageElement("132223104000000000", ldb.FLAG_MOD_REPLACE, "pwdLastSet")
database.modify(change, controls=["local_oid:1.3.6.1.4.1.7165.4.3.20:0"])
`

// addRequest gives the entry to a server that is running.
func (e entry) addRequest() *ldap.AddRequest {
	req := ldap.NewAddRequest(e.dn, nil)
	for _, v := range e.values {
		last := len(req.Attributes) - 1
		if last >= 0 && req.Attributes[last].Type == v[0] {
			req.Attributes[last].Vals = append(req.Attributes[last].Vals, v[1])
		} else {
			req.Attribute(v[0], []string{v[1]})
		}
	}
	return req
}
