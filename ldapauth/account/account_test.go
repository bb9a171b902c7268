package account_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/account"
	"persona-sidecar/ldapauth/schema"

	"github.com/go-ldap/ldap/v3"
)

var now = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)

// entry makes an entry of lines "attribute: value".
func entry(lines ...string) *ldap.Entry {
	values := map[string][]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		values[name] = append(values[name], value)
	}
	return ldap.NewEntry("uid=x", values)
}

func reader(t *testing.T, s schema.Schema) *account.Reader {
	t.Helper()
	r, err := account.New(s, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func preset(t *testing.T, name string) schema.Schema {
	t.Helper()
	s, err := schema.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fileTime writes a time as Active Directory does.
func fileTime(t time.Time) string {
	return strconv.FormatInt(t.Unix()*10_000_000+116_444_736_000_000_000, 10)
}

// What entries of each kind of directory say of their accounts.
func TestStateOfPresets(t *testing.T) {
	t.Parallel()
	const (
		ok       = identity.OK
		disabled = identity.Deactivated
		expired  = identity.Expired
		change   = identity.MustChange
		locked   = identity.Locked
		past     = "20261125175959Z"
		future   = "20261125180001Z"
	)
	for name, states := range map[string][]struct {
		lines                    string // separated by commas
		status                   identity.Status
		guessed, passwordExpired bool // locked by guesses
	}{
		"activedirectory": {
			{"userAccountControl: 512,accountExpires: 0,pwdLastSet: 134085924000000000,msDS-User-Account-Control-Computed: 0", ok, false, false},
			{"accountExpires: 9223372036854775807", ok, false, false},
			{"accountExpires: " + fileTime(now.Add(time.Second)), ok, false, false},
			{"accountExpires: " + fileTime(now), expired, false, false},
			{"accountExpires: soon", expired, false, false},
			{"accountExpires: -5", expired, false, false},
			{"userAccountControl: 514", disabled, false, false},
			{"userAccountControl: -2147483646", disabled, false, false},
			{"useraccountcontrol: 514,accountExpires: " + fileTime(now), disabled, false, false},
			{"userAccountControl: ?", disabled, false, false},
			{"pwdLastSet: 0", change, false, false},
			{"msDS-User-Account-Control-Computed: 8388608", ok, false, true},
			{"msDS-User-Account-Control-Computed: 16", ok, true, false},
			{"msDS-User-Account-Control-Computed: 8388624,userAccountControl: 514", disabled, true, true},
		},
		"openldap": {
			{"shadowExpire: -1", ok, false, false},
			{"shadowExpire: 20783", ok, false, false}, // tomorrow
			{"shadowExpire: 20782", expired, false, false},
			{"shadowExpire: 0", expired, false, false},
			{"shadowExpire: soon", expired, false, false},
			{"pwdAccountLockedTime: 000001010000Z", locked, true, false},
			{"pwdAccountLockedTime: " + past, ok, true, false},
			{"pwdAccountLockedTime: " + past + ",pwdReset: TRUE", change, true, false}, // a lock that anyone can cause hides nothing
			{"pwdReset: true", change, false, false},
			{"pwdReset: FALSE", ok, false, false},
			{"pwdStartTime: " + future, disabled, false, false},
			{"pwdStartTime: " + past, ok, false, false},
			{"pwdEndTime: " + past, expired, false, false},
			{"pwdEndTime: 20261125190000+0100", expired, false, false},
			{"pwdEndTime: 2026112518Z", expired, false, false},
			{"pwdEndTime: 202611251801Z", ok, false, false},
			{"pwdEndTime: 20261125180000.5Z", ok, false, false},
			{"pwdEndTime: tomorrow", expired, false, false},
			{"nsAccountLock: TRUE", ok, false, false}, // another server's
		},
		"389ds": {
			{"nsAccountLock: true", disabled, false, false},
			{"passwordExpirationTime: " + future, ok, false, false},
			{"passwordExpirationTime: " + past, ok, false, true},
			{"passwordExpirationTime: 19700101000000Z", change, false, true},
			{"pwdReset: TRUE", change, false, false},
			{"accountUnlockTime: " + future, ok, true, false},
			{"accountUnlockTime: " + past, ok, false, false},
			{"accountUnlockTime: 19700101000000Z", ok, true, false}, // until an administrator opens it
		},
		"freeipa": {
			{"nsAccountLock: TRUE", disabled, false, false},
			{"krbPrincipalExpiration: " + past, expired, false, false},
			{"krbPasswordExpiration: " + past, change, false, false},
			{"krbPasswordExpiration: " + future + ",krbPrincipalExpiration: " + future, ok, false, false},
		},
		"authentik":  {{"ak-active: FALSE", disabled, false, false}, {"ak-active: TRUE", ok, false, false}},
		"glauth":     {{"accountStatus: inactive", disabled, false, false}, {"accountStatus: active", ok, false, false}},
		"synology":   {{"shadowExpire: 1", expired, false, false}, {"pwdAccountLockedTime: 000001010000Z", locked, true, false}},
		"univention": {{"sambaAcctFlags: [UD         ]", disabled, false, false}, {"sambaAcctFlags: [U          ]", ok, false, false}, {"krb5ValidEnd: " + past, expired, false, false}},
		"google":     {{"x: y", ok, false, false}}, "jumpcloud": {{"x: y", ok, false, false}}, "kanidm": {{"x: y", ok, false, false}},
		"lldap": {{"x: y", ok, false, false}}, "okta": {{"x: y", ok, false, false}},
	} {
		r := reader(t, preset(t, name))
		for _, c := range states {
			got := r.State(entry(strings.Split(c.lines, ",")...))
			if got.Status != c.status || got.LockedForNow != c.guessed || got.PasswordExpired != c.passwordExpired {
				t.Errorf("%s, %s: %s, locked for now %t, password expired %t", name, c.lines, got.Status, got.LockedForNow, got.PasswordExpired)
			}
			unreadable := strings.Contains(c.lines, "soon") || strings.Contains(c.lines, "tomorrow") || strings.Contains(c.lines, "?") || strings.Contains(c.lines, "-5")
			if (len(got.Unreadable) > 0) != unreadable {
				t.Errorf("%s, %s: unreadable %q", name, c.lines, got.Unreadable)
			}
		}
	}
	if len(schema.Presets()) != 13 {
		t.Error("a preset is not in the table")
	}
}

// The preset custom knows what means the same in any directory.
func TestStateOfCustom(t *testing.T) {
	t.Parallel()
	r := reader(t, schema.Custom())
	for line, want := range map[string]identity.Status{
		"shadowExpire: 1": identity.Expired, "pwdReset: TRUE": identity.MustChange, "pwdAccountLockedTime: 000001010000Z": identity.Locked,
		"pwdAccountLockedTime: 20261125175959Z": identity.OK, "userAccountControl: 514": identity.OK, "pwdChangedTime: 20261125175959Z": identity.OK,
	} {
		if got := r.State(entry(line)); got.Status != want || got.PasswordChanged.IsZero() == strings.Contains(line, "Changed") {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestPasswordTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2024, 2, 29, 12, 30, 45, 0, time.UTC)
	r := reader(t, schema.Schema{PasswordTime: "changed"})
	for text, want := range map[string]time.Time{
		"20240229123045Z":         want,
		"20240229123045.250Z":     want.Add(250 * time.Millisecond),
		"20240229123045,25Z":      want.Add(250 * time.Millisecond),
		"20240229143045+0200":     want,
		"20240229143045+02":       want,
		"20240229123045.000000Z":  want,
		fileTime(want):            want,
		"133536834455000000":      want.Add(500 * time.Millisecond),
		"1709209845":              want,
		"19782":                   time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0":                       {},
		"-1":                      {},
		"9223372036854775807":     time.Date(30828, 9, 14, 2, 48, 5, 477580700, time.UTC),
		"yesterday":               {},
		"20240230123045Z":         {},
		"20240229123045":          {}, // no zone
		"99999999999999999999999": {},
	} {
		got := r.State(entry("changed: " + text))
		if text == "20240229123045" { // read as a number, like any other
			continue
		}
		if !got.PasswordChanged.Equal(want) || got.Status != identity.OK {
			t.Errorf("%q is %v, want %v", text, got.PasswordChanged, want)
		}
	}
	if got := r.State(entry("other: 1")); !got.PasswordChanged.IsZero() || got.Unreadable != nil {
		t.Errorf("without the attribute: %+v", got)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	guid := "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	for _, c := range []struct {
		format            schema.Format
		value, id, filter string
		fault             account.IDFault
	}{
		{schema.Text, "2f6f-1a*", "2f6f-1a*", `(i=2f6f-1a\2a)`, ""},
		{schema.Text, "a b", "", "", account.NotPrintable},
		{schema.Text, "é", "", "", account.NotPrintable},
		{schema.Text, guid, "", "", account.NotPrintable},
		{schema.Text, strings.Repeat("a", 129), "", "", account.WrongLength},
		{schema.Text, "", "", "", account.NoID},
		{schema.GUID, guid, "00112233-4455-6677-8899-aabbccddeeff", `(i=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)`, ""},
		{schema.GUID, guid[:15], "", "", account.WrongLength},
		{schema.GUID, "00112233-4455-6677-8899-aabbccddeeff", "", "", account.WrongLength},
		{schema.Hex, "\x00*(é", "002a28c3a9", `(i=\00\2a\28\c3\a9)`, ""},
		{schema.Hex, strings.Repeat("a", 65), "", "", account.WrongLength},
	} {
		r := reader(t, schema.Schema{ID: schema.ID{Attribute: "i", Format: c.format}})
		id, err := r.ID(entry("I: " + c.value))
		var unusable *account.UnusableID
		if id != c.id || (err != nil) != (c.fault != "") || errors.As(err, &unusable) && (unusable.Fault != c.fault || unusable.Hint() == "") {
			t.Errorf("%s %q: %q, %v", c.format, c.value, id, err)
		}
		if err != nil {
			continue
		}
		if filter, ok := r.ByID(id); !ok || filter != c.filter {
			t.Errorf("%s: the filter is %s", id, filter)
		}
		if _, err := ldap.CompileFilter(c.filter); err != nil {
			t.Error(err)
		}
	}
	r := reader(t, schema.Schema{ID: schema.ID{Attribute: "i", Format: schema.Text}})
	var unusable *account.UnusableID
	if _, err := r.ID(entry("i: a", "i: b")); !errors.As(err, &unusable) || unusable.Fault != account.SeveralIDs {
		t.Errorf("two values: %v", err)
	}
	if _, err := r.ID(entry()); !errors.As(err, &unusable) || unusable.Fault != account.NoID {
		t.Errorf("no value: %v", err)
	}
}

// A text that is no id of this directory finds no one.
func TestByIDOfNoID(t *testing.T) {
	t.Parallel()
	for format, ids := range map[schema.Format][]string{
		schema.Text: {"", "a b", "é", strings.Repeat("a", 129)},
		schema.GUID: {"", "alice", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeef", "0011-2233445566778899-aabb-ccdd-eeff"},
		schema.Hex:  {"", "0", "0g", "AB", "00-11", strings.Repeat("a", 130)},
	} {
		r := reader(t, schema.Schema{ID: schema.ID{Attribute: "i", Format: format}})
		for _, id := range ids {
			if filter, ok := r.ByID(id); ok {
				t.Errorf("%s: %q gives %s", format, id, filter)
			}
		}
	}
}

func TestDisabledFilter(t *testing.T) {
	t.Parallel()
	e := entry("employeeType: Former  Employee", "uid: alice", "flags: 514", "memberOf: CN=Left,OU=Groups,DC=example,DC=test", "memberOf: cn=all,dc=test", "note: a=b")
	for filter, want := range map[string]bool{
		"(employeeType=former employee)":                     true,
		"(EMPLOYEETYPE= Former Employee )":                   true,
		"(employeeType=former)":                              false,
		"(employeeType~=FORMER EMPLOYEE)":                    true,
		"(employeeType=*)":                                   true,
		"(mail=*)":                                           false,
		"(employeeType=form*)":                               true,
		"(employeeType=*loyee)":                              true,
		"(employeeType=f*er*oyee)":                           true,
		"(employeeType=*mp*ee*x)":                            false,
		"(employeeType=ormer*)":                              false,
		"(uid=al*ice)":                                       true,
		"(uid=ali*lice)":                                     false,
		"(!(mail=*))":                                        true,
		"(&(uid=alice)(employeeType=*))":                     true,
		"(&(uid=alice)(mail=*))":                             false,
		"(|(uid=bob)(mail=*))":                               false,
		"(|(uid=bob)(employeeType=*))":                       true,
		"(memberOf=cn=left, ou=groups, dc=example, dc=test)": true,
		"(memberOf=cn=right,ou=groups,dc=example,dc=test)":   false,
		"(note=A=B)":                                         true,
		"(flags:1.2.840.113556.1.4.803:=2)":                  true,
		"(flags:1.2.840.113556.1.4.803:=3)":                  false,
		"(flags:1.2.840.113556.1.4.804:=3)":                  true,
		"(flags:1.2.840.113556.1.4.804:=1)":                  false,
		"(uid:1.2.840.113556.1.4.803:=2)":                    false,
		`(uid=al\69ce)`:                                      true,
		"(!(|(!(flags:1.2.840.113556.1.4.803:=2))(!(uid=alice))(uid=x)))": true,
	} {
		r := reader(t, schema.Schema{DisabledFilter: filter})
		got := r.State(e).Status
		if (got == identity.Deactivated) != want || !want && got != identity.OK {
			t.Errorf("%s: %s", filter, got)
		}
	}
	for _, filter := range []string{"(uid>=a)", "(uid<=a)", "(uid:caseExactMatch:=a)", "(uid:=a)", "(uid:dn:1.2.840.113556.1.4.803:=1)", "(uid:1.2.840.113556.1.4.803:=x)", "(&(uid=a)(uid>=a))", "uid"} {
		if _, err := account.New(schema.Schema{DisabledFilter: filter}, time.Now); err == nil {
			t.Errorf("%s is taken", filter)
		}
	}
}

// Only what means something is asked for, each once.
func TestAttributes(t *testing.T) {
	t.Parallel()
	ad := preset(t, "activedirectory")
	ad.DisabledFilter = "(|(title=left)(ACCOUNTEXPIRES=1)(!(department=*)))"
	want := []string{"objectGUID", "userAccountControl", "accountExpires", "pwdLastSet", "msDS-User-Account-Control-Computed", "title", "department"}
	if got := reader(t, ad).Attributes(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := reader(t, preset(t, "google")).Attributes(); !slices.Equal(got, []string{"entryUUID"}) {
		t.Errorf("%q", got)
	}
}
