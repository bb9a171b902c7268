package ldapauth

import (
	"context"
	"fmt"
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
}

// bind checks a password on a connection that is used for nothing else. An
// error means that the directory could not answer.
func (d *Directory) bind(ctx context.Context, dn, password string) (v verdict, err error) {
	began := time.Now()
	defer func() { d.observe(OpBind, began, v.outcome(err)) }()
	policy, err := d.servers.Bind(ctx, dn, servers.Secret(password))
	return judge(policy, err)
}

// judge reads the result code and the policy control together.
func judge(policy *ldap.ControlBeheraPasswordPolicy, err error) (verdict, error) {
	if policy == nil {
		policy = ldap.NewControlBeheraPasswordPolicy()
	}
	if err == nil { // the password was right; that alone is no sign-in
		switch {
		case policy.Error == policyChangeAfterReset:
			return verdict{status: identity.MustChange, mayTell: true}, nil
		case policy.Error == policyAccountLocked:
			return verdict{status: identity.Locked, mayTell: true}, nil
		case policy.Error == policyPasswordExpired, policy.Grace >= 0: // let in by grace, once more
			return verdict{status: identity.Expired, mayTell: true}, nil
		}
		return verdict{status: identity.OK, mayTell: true}, nil
	}
	e := servers.Answer(err)
	if e == nil {
		return verdict{}, fmt.Errorf("checking a password: %w", err)
	}
	switch e.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		switch policy.Error { // expiry is told only to the right password, a lock to any
		case policyPasswordExpired:
			return verdict{status: identity.Expired, mayTell: true}, nil
		case policyAccountLocked:
			return verdict{status: identity.Locked, reason: "the directory says that the account is locked"}, nil
		}
		return verdict{status: identity.Refused}, nil
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax:
		return verdict{status: identity.Refused, reason: "the entry went away between the search and the bind"}, nil
	case ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights:
		// Some servers say so for a wrong password too: nothing is proven.
		return verdict{status: identity.NotAllowed, reason: e.Error()}, nil
	}
	return verdict{}, fmt.Errorf("checking a password: %w", err)
}
