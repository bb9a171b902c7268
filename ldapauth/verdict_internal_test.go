package ldapauth

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

func policyOf(problem int8, grace int64) *ldap.ControlBeheraPasswordPolicy {
	p := ldap.NewControlBeheraPasswordPolicy()
	p.Error, p.Grace = problem, grace
	return p
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const none = -1
	for name, c := range map[string]struct {
		policy  *ldap.ControlBeheraPasswordPolicy
		code    int
		status  identity.Status
		mayTell bool
	}{
		"signed in":                    {nil, 0, identity.OK, true},
		"signed in, policy silent":     {policyOf(none, none), 0, identity.OK, true},
		"right, must change":           {policyOf(policyChangeAfterReset, none), 0, identity.MustChange, true},
		"right, expired":               {policyOf(policyPasswordExpired, none), 0, identity.PasswordExpired, true},
		"right, expired, grace left":   {policyOf(none, 2), 0, identity.OK, true},
		"right, last grace used":       {policyOf(none, 0), 0, identity.OK, true},
		"right, locked":                {policyOf(policyAccountLocked, none), 0, identity.Locked, true},
		"wrong":                        {nil, 49, identity.Refused, false},
		"wrong, policy silent":         {policyOf(none, none), 49, identity.Refused, false},
		"expired":                      {policyOf(policyPasswordExpired, none), 49, identity.PasswordExpired, true},
		"locked":                       {policyOf(policyAccountLocked, none), 49, identity.LockedForNow, false},
		"wrong is never a must-change": {policyOf(policyChangeAfterReset, none), 49, identity.Refused, false},
		"entry vanished":               {nil, 32, identity.Refused, false},
		"account inactivated":          {nil, 53, identity.NotAllowed, false},
		"constraint":                   {nil, 19, identity.NotAllowed, false},
		"no password in the entry":     {nil, 48, identity.NotAllowed, false},
		"insufficient rights":          {nil, 50, identity.NotAllowed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			if c.code != 0 {
				err = ldap.NewError(uint16(c.code), errors.New("from the server"))
			}
			v, err := judge(c.policy, err)
			if err != nil || v.status != c.status || v.mayTell != c.mayTell {
				t.Errorf("%v, %t, %v; want %v, %t", v.status, v.mayTell, err, c.status, c.mayTell)
			}
		})
	}
}

// What a password policy says to a person who is let in.
func TestNotice(t *testing.T) {
	t.Parallel()
	expiring := policyOf(-1, -1)
	expiring.Expire = 3600
	for want, policy := range map[identity.Notice]*ldap.ControlBeheraPasswordPolicy{
		{}: nil, {PasswordExpired: true, GraceLeft: 2}: policyOf(-1, 2), {PasswordExpired: true}: policyOf(policyPasswordExpired, 0),
		{ExpiresIn: time.Hour}: expiring,
	} {
		if v, err := judge(policy, nil); err != nil || v.status != identity.OK || v.notice != want {
			t.Errorf("%+v: %+v, %v", want, v, err)
		}
	}
}

// The codes of Active Directory, as Windows and Samba write them, and what only looks like one.
func TestWindowsCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]verdict{
		"525": {status: identity.Refused}, "52e": {status: identity.Refused}, "52f": {status: identity.Refused}, "0": {status: identity.Refused},
		"530": {status: identity.NotNow, mayTell: true}, "531": {status: identity.NotHere, mayTell: true},
		"532": {status: identity.PasswordExpired, mayTell: true}, "533": {status: identity.Deactivated, mayTell: true},
		"701": {status: identity.Expired, mayTell: true}, "773": {status: identity.MustChange, mayTell: true},
		"775": {status: identity.LockedForNow},
	} {
		for _, format := range []string{
			"80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data %s, v4563\x00",
			"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data %s, v1db1",
		} {
			v, err := judge(nil, ldap.NewError(49, fmt.Errorf(format, code)))
			if err != nil || v.status != want.status || v.mayTell != want.mayTell || !strings.Contains(v.reason, code) {
				t.Errorf("%s: %+v, %v", code, v, err)
			}
		}
	}
	for _, text := range []string{"", "data 533", "AcceptSecurityContext error, data", "error, data 533, v1db1"} {
		if v, err := judge(nil, ldap.NewError(49, errors.New(text))); err != nil || v.status != identity.Refused || v.mayTell {
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	}
	if v, _ := judge(nil, ldap.NewError(53, errors.New("AcceptSecurityContext error, data 533, v1db1"))); v.mayTell {
		t.Errorf("a code beside another result is told: %+v", v)
	}
}

// Trouble with the directory is never taken for a wrong password, whatever the
// control says beside it.
func TestJudgeOutages(t *testing.T) {
	t.Parallel()
	failures := []error{io.EOF, errors.New("unable to read LDAP response packet")}
	for _, code := range []uint16{1, 2, 3, 7, 8, 10, 11, 12, 13, 51, 52, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 200, 204, 207} {
		failures = append(failures, ldap.NewError(code, errors.New("from the server")))
	}
	for _, code := range []uint16{49, 53, 32} { // not the answer to the user's bind
		failures = append(failures, &servers.ConnectError{Doing: "connecting", Err: ldap.NewError(code, errors.New("StartTLS"))})
	}
	for _, failure := range failures {
		if v, err := judge(policyOf(policyAccountLocked, -1), failure); !errors.Is(err, failure) {
			t.Errorf("%v was judged as %v, %v", failure, v.status, err)
		}
	}
}
