package ldapauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"persona-sidecar/idp/identity"

	"github.com/go-ldap/ldap/v3"
)

// Errors of the password policy control, draft-behera-ldap-password-policy-11
// section 6.2. go-ldap uses -1 for none.
const (
	policyPasswordExpired  = 0
	policyAccountLocked    = 1
	policyChangeAfterReset = 2
)

// verdict is what a bind says about a password and its owner.
type verdict struct {
	status  identity.Status
	mayTell bool   // the password was right
	reason  string // for the operator, when the status alone does not say it
}

// bind checks a password on a connection that is used for nothing else. An
// error means that the directory could not answer.
//
// A bind whose connection broke before the answer is sent again, so in rare
// cases the directory counts one wrong password twice.
func (d *Directory) bind(ctx context.Context, dn, password string) (v verdict, err error) {
	began := time.Now()
	defer func() { d.observe(OpBind, began, v.outcome(err)) }()
	if err := d.binds.acquire(ctx); err != nil {
		return verdict{}, err
	}
	defer d.binds.release()
	req := &ldap.SimpleBindRequest{
		Username: dn, Password: password,
		Controls: []ldap.Control{ldap.NewControlBeheraPasswordPolicy()},
	}
	var policy *ldap.ControlBeheraPasswordPolicy
	err = d.servers.do(ctx, bindConn, func(c *conn) error {
		res, err := c.ldap.SimpleBind(req)
		policy = passwordPolicy(res)
		c.spoilt = policy != nil && policy.Error >= 0 // the server may have restricted the connection
		return err
	})
	return judge(policy, err)
}

func passwordPolicy(res *ldap.SimpleBindResult) *ldap.ControlBeheraPasswordPolicy {
	if res == nil {
		return nil
	}
	policy, _ := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	return policy
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
	var e *ldap.Error
	var unconnected *connectError
	if !errors.As(err, &e) || unavailable(err) || errors.As(err, &unconnected) {
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
	return verdict{}, fmt.Errorf("checking a password: %w", withHint(err, resultHint(err)))
}
