package ldaptest

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	// OddName is the given name in quentin's DN.
	OddName = ` #Qu, e=n+t"i\n<;>/ 😀 `
	// OddPassword is pat's, with spaces at both ends.
	OddPassword = ` p: % & + = "x" \ (*) `
	// UmlautPassword is uma's.
	UmlautPassword = "Pässwörd ß 😀"

	// lockAfter is how many wrong passwords lock an account on every server, at most.
	lockAfter = 5

	serviceDN       = "cn=persona,ou=services," + BaseDN
	servicePassword = "service-secret"
	rootDN          = "cn=root," + BaseDN
	rootPassword    = "root-secret"
	expiringPolicy  = "cn=expiring,ou=policies," + BaseDN
	gracePolicy     = "cn=grace,ou=policies," + BaseDN
	staffDN         = "cn=staff,ou=groups," + BaseDN
	teamDN          = "cn=team,ou=groups," + BaseDN
)

// LongPassword is max's, as long as Active Directory takes one over LDAP.
var LongPassword = strings.Repeat("0123456789", 12)

// Company is the LDIF of Example Ltd for slapd, with the mail domains
// example.test and example.net. Passwords are Password where nothing else is
// said. 389-ds and Active Directory have the same people as far as they can hold
// them, and some of their own.
//
//	alice       two aliases, one of them in example.net; member of cn=staff
//	bob         mail written in mixed case
//	carol       must change the password
//	dave        locked by an administrator (pwdAccountLockedTime, nsAccountLock,
//	            userAccountControl)
//	erin        account expired (shadowExpire, accountExpires)
//	frank       password expired, no grace
//	gina        password expired, with grace logins left
//	heidi, ivan both claim shared@example.test
//	juergen     a name outside ASCII
//	kate        only a foreign address, kate@elsewhere.example
//	leo         no address
//	lou         locked by wrong passwords
//	max         the longest password, LongPassword
//	mona        a mail attribute with a language beside the plain one
//	nina        member of cn=team, which is a member of cn=staff
//	nora        no password
//	odd         addresses that no mail server should have accepted
//	pat         a password full of characters, OddPassword
//	peggy       claims info@example.test, which is a mailing list's
//	plus        an address with a tag, plus+tag@example.test
//	quentin     a DN full of characters that mean something there
//	sam         two entries with this uid
//	spacey      an address with a space at its end
//	tim         a second uid, timothy
//	uma         a password outside ASCII, UmlautPassword
//	victor      proxyAddresses as Exchange writes them
//	zoë         a login outside ASCII
//	SpecialLogin
//
// In Active Directory alone:
//
//	contact     no person, and holds alice.adams@example.test as well as alice
//	hugo        may sign in at no hour
//	ursula      a userPrincipalName that is not her address
//	wendy       may sign in at one workstation alone
func Company() string { return CompanyOf(0) }

// CompanyOf is Company with n more people: user00001 … with addresses
// user00001@example.test …
func CompanyOf(n int) string {
	entries := slices.Concat(skeleton(), policies(), people(Slapd))
	hash := saltedHash(Password) // one for all: hashing is not what is tested
	for i := 1; i <= n; i++ {
		uid := fmt.Sprintf("user%05d", i)
		entries = append(entries, hashedPerson(uid, "User", fmt.Sprint(i), hash).with("mail", uid+"@example.test"))
	}
	return ldif(withIDs(entries))
}

// company389 is Company for 389-ds, where nothing may be read until it is
// allowed.
func company389() string {
	entries := skeleton()
	entries[0] = entries[0].with("aci", `(targetattr != "userPassword")(version 3.0; acl "service"; allow (read, search, compare) userdn = "ldap:///`+serviceDN+`";)`,
		`(targetattr = "userPassword")(version 3.0; acl "own password"; allow (write) userdn = "ldap:///self";)`)
	for _, e := range people(DS389) {
		entries = append(entries, e.with("pwdUpdateTime", longAgo)) // as a server that tracks it would have
	}
	return ldif(entries)
}

// PersonDN returns the DN of a sample person on slapd and 389-ds.
func PersonDN(uid string) string { return "uid=" + ldap.EscapeDN(uid) + "," + PeopleDN }

func skeleton() []entry {
	unit := func(name string) entry {
		return entry{dn: "ou=" + name + "," + BaseDN}.with("objectClass", "organizationalUnit").with("ou", name)
	}
	group := func(dn, cn string, members ...string) entry {
		return entry{dn: dn}.with("objectClass", "groupOfNames", "examplePerson").with("cn", cn).with("member", members...)
	}
	return []entry{
		entry{dn: BaseDN}.with("objectClass", "dcObject", "organization").with("dc", "example").with("o", "Example Ltd"),
		unit("people"), unit("branch"), unit("groups"), unit("services"), unit("policies"),
		entry{dn: serviceDN}.with("objectClass", "organizationalRole", "simpleSecurityObject").
			with("cn", "persona").with("userPassword", saltedHash(servicePassword)),
		group(staffDN, "staff", PersonDN("alice"), teamDN),
		group(teamDN, "team", PersonDN("nina")),
		group("cn=info,ou=groups,"+BaseDN, "info", PersonDN("bob")).with("mailAlternateAddress", "info@example.test"),
	}
}

// policies are slapd's rules for passwords; 389-ds has them in its configuration.
func policies() []entry {
	policy := func(dn, cn string) entry {
		return entry{dn: dn}.with("objectClass", "organizationalRole", "pwdPolicy").with("cn", cn).
			with("pwdAttribute", "userPassword").with("pwdMustChange", "TRUE").with("pwdLockout", "TRUE").
			with("pwdMaxFailure", "5").with("pwdFailureCountInterval", "600")
	}
	return []entry{
		policy("cn=default,ou=policies,"+BaseDN, "default").with("pwdCheckQuality", "2").with("pwdMinLength", "8"),
		policy(expiringPolicy, "expiring").with("pwdMaxAge", "3600"),
		policy(gracePolicy, "grace").with("pwdMaxAge", "3600").with("pwdGraceAuthNLimit", "100"),
	}
}

const longAgo = "20200101000000Z"

// people are the persons, with their states as a kind of server keeps them.
func people(kind Kind) []entry {
	list := []entry{
		person("alice", "Alice", "Adams").with("mail", "alice@example.test").
			with("mailAlternateAddress", "a.adams@example.test", "Alice@Example.NET").memberOf(kind, staffDN),
		person("bob", "Bob", "Brown").with("mail", "Bob.Brown@Example.TEST"),
		person("erin", "Erin", "Evans").with("mail", "erin@example.test").with("shadowExpire", "1"),
		person("heidi", "Heidi", "Hill").with("mail", "heidi@example.test").with("mailAlternateAddress", "shared@example.test"),
		person("ivan", "Ivan", "Ivory").with("mail", "ivan@example.test").with("mailAlternateAddress", "Shared@example.test"),
		person("kate", "Kate", "King").with("mail", "kate@elsewhere.example"),
		person("leo", "Leo", "Long"),
		personWith("max", "Max", "Moss", LongPassword).with("mail", "max@example.test"),
		person("mona", "Mona", "Mayer").with("mail", "mona@example.test").with("mail;lang-de", "mona.mayer@example.test"),
		person("nina", "Nina", "North").with("mail", "nina@example.test").memberOf(kind, teamDN, staffDN),
		personWith("pat", "Pat", "Pound", OddPassword).with("mail", "pat@example.test"),
		person("sam", "Sam", "Smith").with("mail", "sam.smith@example.test"),
		person("sam", "Sam", "Stone").below("ou=branch,"+BaseDN, "uid=sam").with("mail", "sam.stone@example.test"),
		person("plus", "Paul", "Plus").with("mail", "plus+tag@example.test"),
		person("spacey", "Susan", "Space").with("mail", "spacey@example.test "),
		person("peggy", "Peggy", "Price").with("mail", "peggy@example.test").with("mailAlternateAddress", "info@example.test"),
		person("quentin", OddName, "Quirk").below(PeopleDN, "givenName="+ldap.EscapeDN(OddName)+"+uid=quentin").with("mail", "quentin@example.test"),
		personWith("uma", "Uma", "Upton", UmlautPassword).with("mail", "uma@example.test"),
		person("victor", "Victor", "Vance").with("mail", "victor@example.test").
			with("proxyAddresses", "smtp:vic@example.test", "SMTP:v.vance@example.test", "sip:talk@example.test",
				"X400:c=de;a= ;p=Example;s=Vance;g=Victor;", "noreply@example.test"),
		person("odd", "Olga", "Odd").
			with("mail", "olga@example.test", "olga@sub.example.test", "olga@notexample.test", "olga@example.test.evil.example",
				`"olga"@example.test`, "olga @example.test", "olga@@example.test", "@example.test", "olga@", "olga@example.test."),
		person("zoë", "Zoë", "Zeller").with("mail", "zoe@example.test"),
		person(SpecialLogin, "Star", "Special").with("mail", "special@example.test"),
	}
	nora := person("nora", "Nora", "Null").with("mail", "nora@example.test")
	nora.values = slices.DeleteFunc(nora.values, func(v [2]string) bool { return v[0] == "userPassword" })
	timothy := person("tim", "Tim", "Tanner").with("mail", "tim@example.test")
	for i, v := range timothy.values {
		if v[0] == "uid" {
			timothy.values = slices.Insert(timothy.values, i+1, [2]string{"uid", "timothy"})
			break
		}
	}
	carol := person("carol", "Carol", "Clark").with("mail", "carol@example.test").with("pwdReset", "TRUE")
	dave := person("dave", "Dave", "Davis").with("mail", "dave@example.test")
	frank := person("frank", "Frank", "Fox").with("mail", "frank@example.test")
	gina := person("gina", "Gina", "Green").with("mail", "gina@example.test")
	juergen := person("juergen", "Jürgen", "Müller").with("mail", "juergen.mueller@example.test")
	lou := person("lou", "Lou", "Lane").with("mail", "lou@example.test")
	list = append(list, nora, timothy)
	if kind == DS389 {
		return append(list,
			carol.with("passwordExpirationTime", "19700101000000Z"),
			dave.with("nsAccountLock", "TRUE"),
			frank.with("passwordExpirationTime", longAgo).with("passwordGraceUserTime", "100"),
			gina.with("passwordExpirationTime", longAgo),
			juergen,
			lou.with("passwordRetryCount", "5").with("retryCountResetTime", "20380101000000Z").with("accountUnlockTime", "20380101000000Z"))
	}
	return append(list, carol,
		dave.with("pwdAccountLockedTime", "000001010000Z"),
		frank.with("pwdPolicySubentry", expiringPolicy).with("pwdChangedTime", longAgo),
		gina.with("pwdPolicySubentry", gracePolicy).with("pwdChangedTime", longAgo),
		juergen.with("pwdChangedTime", longAgo),
		lou.with("pwdAccountLockedTime", time.Now().UTC().Format("20060102150405Z")))
}

// memberOf writes what the server's plug-in would have written, had the entry
// come through the server: the direct group first, 389-ds those above it too.
func (e entry) memberOf(kind Kind, groups ...string) entry {
	if kind == DS389 {
		return e.with("objectClass", "nsMemberOf").with("memberOf", groups...)
	}
	return e.with("memberOf", groups[0])
}

func person(uid, given, family string) entry { return personWith(uid, given, family, Password) }

func personWith(uid, given, family, password string) entry {
	return hashedPerson(uid, given, family, saltedHash(password))
}

func hashedPerson(uid, given, family, hash string) entry {
	return entry{dn: PersonDN(uid)}.
		with("objectClass", "inetOrgPerson", "shadowAccount", "examplePerson").
		with("uid", uid).with("cn", given+" "+family).with("givenName", given).with("sn", family).
		with("userPassword", hash)
}
