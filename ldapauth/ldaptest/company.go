package ldaptest

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

const (
	// BaseDN is the sample company's suffix.
	BaseDN = "dc=example,dc=test"
	// PeopleDN is where its people are.
	PeopleDN = "ou=people," + BaseDN
	// Password is the password of every sample person.
	Password = "correct horse battery staple"
	// SpecialLogin is the uid of a person whose name is full of characters
	// that mean something in a search filter.
	SpecialLogin = `st*r(x)\y`

	serviceDN       = "cn=persona,ou=services," + BaseDN
	servicePassword = "service-secret"
	rootDN          = "cn=root," + BaseDN
	rootPassword    = "root-secret"
	expiringPolicy  = "cn=expiring,ou=policies," + BaseDN
	gracePolicy     = "cn=grace,ou=policies," + BaseDN
	staffDN         = "cn=staff,ou=groups," + BaseDN
)

// Company is the LDIF of Example Ltd, with the mail domains example.test and
// example.net. All passwords are Password.
//
//	alice       two aliases, one of them in example.net; member of cn=staff
//	bob         mail written in mixed case
//	carol       must change the password (pwdReset)
//	dave        locked by an administrator (pwdAccountLockedTime)
//	erin        account expired (shadowExpire)
//	frank       password expired (ppolicy), no grace
//	gina        password expired, with grace logins left
//	heidi, ivan both claim shared@example.test
//	juergen     a name outside ASCII
//	kate        only a foreign address, kate@elsewhere.example
//	leo         no address
//	sam         two entries with this uid
//	peggy       claims info@example.test, which is a mailing list's
//	victor      proxyAddresses as Exchange writes them
//	odd         addresses that no mail server should have accepted
//	SpecialLogin
func Company() string { return CompanyOf(0) }

// CompanyOf is Company with n more people: user00001 … with addresses
// user00001@example.test …
func CompanyOf(n int) string {
	entries := append(skeleton(), people()...)
	hash := saltedHash(Password) // one for all: hashing is not what is tested
	for i := 1; i <= n; i++ {
		uid := fmt.Sprintf("user%05d", i)
		entries = append(entries, hashedPerson(uid, "User", fmt.Sprint(i), hash).with("mail", uid+"@example.test"))
	}
	return ldif(entries)
}

// PersonDN returns the DN of a sample person.
func PersonDN(uid string) string { return "uid=" + ldap.EscapeDN(uid) + "," + PeopleDN }

func skeleton() []entry {
	unit := func(name string) entry {
		return entry{dn: "ou=" + name + "," + BaseDN}.with("objectClass", "organizationalUnit").with("ou", name)
	}
	policy := func(dn, cn string) entry {
		return entry{dn: dn}.with("objectClass", "organizationalRole", "pwdPolicy").with("cn", cn).
			with("pwdAttribute", "userPassword").with("pwdMustChange", "TRUE").with("pwdLockout", "TRUE").
			with("pwdMaxFailure", "5").with("pwdFailureCountInterval", "600")
	}
	return []entry{
		entry{dn: BaseDN}.with("objectClass", "dcObject", "organization").with("dc", "example").with("o", "Example Ltd"),
		unit("people"), unit("branch"), unit("groups"), unit("services"), unit("policies"),
		policy("cn=default,ou=policies,"+BaseDN, "default"),
		policy(expiringPolicy, "expiring").with("pwdMaxAge", "3600"),
		policy(gracePolicy, "grace").with("pwdMaxAge", "3600").with("pwdGraceAuthNLimit", "100"),
		entry{dn: serviceDN}.with("objectClass", "organizationalRole", "simpleSecurityObject").
			with("cn", "persona").with("userPassword", saltedHash(servicePassword)),
		entry{dn: staffDN}.with("objectClass", "groupOfNames").with("cn", "staff").with("member", PersonDN("alice")),
		entry{dn: "cn=info,ou=groups," + BaseDN}.with("objectClass", "groupOfNames", "examplePerson").
			with("cn", "info").with("member", PersonDN("bob")).with("mailAlternateAddress", "info@example.test"),
	}
}

func people() []entry {
	const longAgo = "20200101000000Z"
	return []entry{
		person("alice", "Alice", "Adams").with("mail", "alice@example.test").
			with("mailAlternateAddress", "a.adams@example.test", "Alice@Example.NET").with("memberOf", staffDN),
		person("bob", "Bob", "Brown").with("mail", "Bob.Brown@Example.TEST"),
		person("carol", "Carol", "Clark").with("mail", "carol@example.test").with("pwdReset", "TRUE"),
		person("dave", "Dave", "Davis").with("mail", "dave@example.test").with("pwdAccountLockedTime", "000001010000Z"),
		person("erin", "Erin", "Evans").with("mail", "erin@example.test").with("shadowExpire", "1"),
		person("frank", "Frank", "Fox").with("mail", "frank@example.test").
			with("pwdPolicySubentry", expiringPolicy).with("pwdChangedTime", longAgo),
		person("gina", "Gina", "Green").with("mail", "gina@example.test").
			with("pwdPolicySubentry", gracePolicy).with("pwdChangedTime", longAgo),
		person("heidi", "Heidi", "Hill").with("mail", "heidi@example.test").with("mailAlternateAddress", "shared@example.test"),
		person("ivan", "Ivan", "Ivory").with("mail", "ivan@example.test").with("mailAlternateAddress", "Shared@example.test"),
		person("juergen", "Jürgen", "Müller").with("mail", "juergen.mueller@example.test").with("pwdChangedTime", longAgo),
		person("kate", "Kate", "King").with("mail", "kate@elsewhere.example"),
		person("leo", "Leo", "Long"),
		person("sam", "Sam", "Smith").with("mail", "sam.smith@example.test"),
		branchPerson("sam", "Sam", "Stone").with("mail", "sam.stone@example.test"),
		person("peggy", "Peggy", "Price").with("mail", "peggy@example.test").with("mailAlternateAddress", "info@example.test"),
		person("victor", "Victor", "Vance").with("mail", "victor@example.test").
			with("proxyAddresses", "smtp:vic@example.test", "SMTP:v.vance@example.test", "sip:talk@example.test",
				"X400:c=de;a= ;p=Example;s=Vance;g=Victor;", "noreply@example.test"),
		person("odd", "Olga", "Odd").
			with("mail", "olga@example.test", "olga@sub.example.test", "olga@notexample.test", "olga@example.test.evil.example",
				`"olga"@example.test`, "olga @example.test", "olga@@example.test", "@example.test", "olga@", "olga@example.test."),
		person(SpecialLogin, "Star", "Special").with("mail", "special@example.test"),
	}
}

func person(uid, given, family string) entry {
	return hashedPerson(uid, given, family, saltedHash(Password))
}

func branchPerson(uid, given, family string) entry {
	e := person(uid, given, family)
	e.dn = "uid=" + ldap.EscapeDN(uid) + ",ou=branch," + BaseDN
	return e
}

func hashedPerson(uid, given, family, hash string) entry {
	return entry{dn: PersonDN(uid)}.
		with("objectClass", "inetOrgPerson", "shadowAccount", "examplePerson").
		with("uid", uid).with("cn", given+" "+family).with("givenName", given).with("sn", family).
		with("userPassword", hash)
}
