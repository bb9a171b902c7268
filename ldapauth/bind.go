package ldapauth

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// Errors of the password policy control, draft-behera-ldap-password-policy-11
// section 6.2. go-ldap uses -1 for none.
const (
	policyPasswordExpired  = 0
	policyAccountLocked    = 1
	policyChangeAfterReset = servers.PolicyChangeAfterReset
)

// verdict is what a bind says about a password and its owner.
type verdict struct {
	status  identity.Status
	mayTell bool   // the password was right
	reason  string // for the operator, when the status alone does not say it
	notice  identity.Notice
}

// bind checks a password on a connection that is used for nothing else. An
// error means that the directory could not answer.
func (d *Directory) bind(ctx context.Context, dn, password string) (v verdict, err error) {
	began := time.Now()
	defer func() { d.observe(OpBind, began, v.outcome(err)) }()
	policy, err := d.servers.Bind(ctx, dn, servers.Secret(password))
	return judge(policy, err)
}

// judge reads the result code, the policy control and the diagnostic message together.
func judge(policy *ldap.ControlBeheraPasswordPolicy, err error) (verdict, error) {
	if policy == nil {
		policy = ldap.NewControlBeheraPasswordPolicy()
	}
	if err == nil { // the password was right; that alone is no sign-in
		return accepted(policy), nil
	}
	e := servers.Answer(err)
	if e == nil {
		return verdict{}, fmt.Errorf("checking a password: %w", err)
	}
	switch e.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		switch policy.Error { // expiry is told only to the right password, a lock to any
		case policyPasswordExpired:
			return verdict{status: identity.PasswordExpired, mayTell: true}, nil
		case policyAccountLocked:
			return verdict{status: identity.LockedForNow, reason: "the directory says that the account is locked"}, nil
		}
		return subCode(e), nil
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax:
		return verdict{status: identity.Refused, reason: "the entry went away between the search and the bind"}, nil
	case ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights:
		// Some servers say so for a wrong password too: nothing is proven.
		return verdict{status: identity.NotAllowed, reason: e.Error()}, nil
	}
	return verdict{}, fmt.Errorf("checking a password: %w", err)
}

// accepted reads the policy control of a bind that has succeeded. A password that has expired and is accepted all the
// same was accepted at the cost of one of a few times, so the person is let in.
func accepted(policy *ldap.ControlBeheraPasswordPolicy) verdict {
	v := verdict{status: identity.OK, mayTell: true}
	switch {
	case policy.Error == policyChangeAfterReset:
		v.status = identity.MustChange
	case policy.Error == policyAccountLocked:
		v.status = identity.Locked
	case policy.Grace >= 0:
		v.notice = identity.Notice{PasswordExpired: true, GraceLeft: int(policy.Grace)}
	case policy.Error == policyPasswordExpired:
		v.status = identity.PasswordExpired
	case policy.Expire > 0:
		v.notice = identity.Notice{ExpiresIn: time.Duration(policy.Expire) * time.Second}
	}
	return v
}

// windowsCode finds the code with which Active Directory explains a refusal: "80090308: LdapErr: DSID-0C090439,
// comment: AcceptSecurityContext error, data 52e, v4563".
var windowsCode = regexp.MustCompile(`AcceptSecurityContext error, data ([0-9a-fA-F]+)`)

// subCode judges a refused password by Active Directory's code in the diagnostic message, a Windows error in hexadecimal
// digits. All but those of a wrong password and of a lock are sent after the right password alone.
func subCode(e *ldap.Error) verdict {
	found := windowsCode.FindStringSubmatch(e.Error())
	if found == nil {
		return verdict{status: identity.Refused}
	}
	told := func(status identity.Status) verdict {
		return verdict{status: status, mayTell: true, reason: "data " + found[1]}
	}
	switch found[1] {
	case "530": // ERROR_INVALID_LOGON_HOURS
		return told(identity.NotNow)
	case "531": // ERROR_INVALID_WORKSTATION
		return told(identity.NotHere)
	case "532": // ERROR_PASSWORD_EXPIRED
		return told(identity.PasswordExpired)
	case "533": // ERROR_ACCOUNT_DISABLED
		return told(identity.Deactivated)
	case "701": // ERROR_ACCOUNT_EXPIRED
		return told(identity.Expired)
	case "773": // ERROR_PASSWORD_MUST_CHANGE
		return told(identity.MustChange)
	case "775": // ERROR_ACCOUNT_LOCKED_OUT, for the right and for a wrong password
		return verdict{status: identity.LockedForNow, reason: "data 775: locked by wrong passwords"}
	}
	return verdict{status: identity.Refused, reason: "data " + found[1]} // 52e, a wrong password, and what is not known
}

// rejected is the answer to a password that was wrong, or right and not
// enough. Where the server gives no reason of its own the entry may have one, which is not told.
func (d *Directory) rejected(e entry, v verdict) identity.Result {
	said := d.state(e)
	switch vague := v.status == identity.Refused || v.status == identity.NotAllowed; {
	case said.Status == identity.Locked && !v.mayTell, said.Status != identity.OK && v.status == identity.NotAllowed:
		v.status, v.reason = said.Status, v.reason+" (by what the entry says)"
	case vague && said.LockedForNow:
		v.status, v.reason = identity.LockedForNow, v.reason+" (by what the entry says)"
	}
	switch {
	case v.status == identity.NotAllowed:
		d.log.Warn().Str("id", e.id).Str("reason", v.reason).Msg("the directory refuses this person by policy")
	case v.reason != "":
		d.log.Info().Str("id", e.id).Stringer("status", v.status).Str("reason", strings.TrimSpace(v.reason)).Msg("sign-in refused")
	}
	res := d.refusal(v.status, e.id)
	res.MayTell = v.mayTell
	return res
}
