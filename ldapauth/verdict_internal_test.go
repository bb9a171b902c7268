package ldapauth

import (
	"errors"
	"io"
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
		"right, expired":               {policyOf(policyPasswordExpired, none), 0, identity.Expired, true},
		"right, expired, grace left":   {policyOf(none, 2), 0, identity.Expired, true},
		"right, last grace used":       {policyOf(none, 0), 0, identity.Expired, true},
		"right, locked":                {policyOf(policyAccountLocked, none), 0, identity.Locked, true},
		"wrong":                        {nil, 49, identity.Refused, false},
		"wrong, policy silent":         {policyOf(none, none), 49, identity.Refused, false},
		"expired":                      {policyOf(policyPasswordExpired, none), 49, identity.Expired, true},
		"locked":                       {policyOf(policyAccountLocked, none), 49, identity.Locked, false},
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

func TestExpired(t *testing.T) {
	t.Parallel()
	day10 := time.Unix(10*24*60*60, 0)
	for days, want := range map[string]bool{
		"": false, "-1": false, "11": false, "99999": false, "10": true, "1": true, "0": true, "soon": true,
	} {
		if got := expired(days, day10); got != want {
			t.Errorf("%q on day 10: %t", days, got)
		}
	}
}

func TestGeneralizedTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2024, 2, 29, 12, 30, 45, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"20240229123045Z":        want,
		"20240229123045.250Z":    want.Add(250 * time.Millisecond),
		"20240229143045+0200":    want,
		"":                       {},
		"yesterday":              {},
		"20240230123045Z":        {},
		"20240229123045.000000Z": want,
	} {
		if got := generalizedTime(s); !got.Equal(want) {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}
