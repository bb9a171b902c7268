package servers

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// PolicyChangeAfterReset is the error of the password policy control (draft-behera-ldap-password-policy-11
// section 6.2) that says that the password must be changed before anything else is allowed.
const PolicyChangeAfterReset = 2

// Search asks one server, as the service account. The result goes with an error of a size limit: it is what
// the server did return. An error has a hint where one is known; [Answer] tells the server's refusals from outages.
func (s *Set) Search(ctx context.Context, req *ldap.SearchRequest) (res *ldap.SearchResult, err error) {
	if err := s.searches.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.searches.release()
	err = s.do(ctx, operation{purpose: searchConn, ask: func(c *conn) (err error) {
		res, err = c.ldap.Search(req)
		return err
	}})
	if err != nil {
		err = WithHint(err, searchHint(err, req.BaseDN))
	}
	return res, err
}

// Bind checks a password on a connection that is used for nothing else, and returns what the server says of it
// in the password policy control, nil for nothing. [Answer] tells a refusal from an outage.
//
// A bind whose connection broke or was silent before the answer is sent again on a new one, so in rare cases the directory
// counts one wrong password twice.
func (s *Set) Bind(ctx context.Context, dn string, password Secret) (policy *ldap.ControlBeheraPasswordPolicy, err error) {
	if err := s.binds.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.binds.release()
	err = s.do(ctx, operation{purpose: bindConn, ask: func(c *conn) (err error) {
		policy, err = c.bind(dn, password)
		c.spoilt = c.spoilt || policy != nil && policy.Error >= 0 // the server may have restricted the connection
		return err
	}})
	if err != nil {
		err = WithHint(err, resultHint(err))
	}
	return policy, err
}

// PasswordModify is the extended operation of RFC 3062.
const PasswordModify = "1.3.6.1.4.1.4203.1.11.1"

// ChangePassword changes a person's password as themselves (RFC 3062), on a connection that is opened for it and closed
// after it. The old password is checked by a bind, whose answer is policy and err, as those of Bind. Then proceed, which is
// given that policy, decides whether the new one is sent.
//
// refused is what became of that: nil when the password is changed or was not sent, an error of which [Answer] is not nil
// when the server refused it, and any other error when it is not known. What was sent once is never sent again.
func (s *Set) ChangePassword(ctx context.Context, dn string, old, changed Secret,
	proceed func(*ldap.ControlBeheraPasswordPolicy) bool,
) (policy *ldap.ControlBeheraPasswordPolicy, refused, err error) {
	if err := s.binds.acquire(ctx); err != nil {
		return nil, nil, err
	}
	defer s.binds.release()
	err = s.do(ctx, operation{purpose: bindConn, alone: true, ask: func(c *conn) (err error) {
		if policy, err = c.bind(dn, old); err != nil || !proceed(policy) {
			return err
		}
		_, refused = c.ldap.PasswordModify(ldap.NewPasswordModifyRequest(dn, string(old), string(changed)))
		return nil
	}})
	if err != nil {
		err = WithHint(err, resultHint(err))
	}
	return policy, refused, err
}

// Supports reports whether a server offers an extended operation (supportedExtension, RFC 4512 section 5.1).
func (s *Set) Supports(ctx context.Context, oid string) (bool, error) {
	res, err := s.Search(ctx, &ldap.SearchRequest{
		Scope: ldap.ScopeBaseObject, DerefAliases: ldap.NeverDerefAliases,
		TimeLimit: SecondsLeft(ctx), Filter: "(objectClass=*)", Attributes: []string{"supportedExtension"},
	})
	if err != nil || len(res.Entries) != 1 {
		return false, err
	}
	return slices.Contains(res.Entries[0].GetEqualFoldAttributeValues("supportedExtension"), oid), nil
}

// Ping reads one entry, without waiting for the searches in flight. An entry that is not there, or may not be
// read, is an error. It keeps no connection open that is of no other use.
func (s *Set) Ping(ctx context.Context, dn string) error {
	err := s.do(ctx, operation{purpose: searchConn, background: true, ask: func(c *conn) error { return c.readBase(dn) }})
	if err != nil {
		err = WithHint(err, searchHint(err, dn))
	}
	return err
}

// readBase reads one entry without its attributes; that it is not there is an error.
func (c *conn) readBase(dn string) error {
	res, err := c.ldap.Search(&ldap.SearchRequest{
		BaseDN: dn, Scope: ldap.ScopeBaseObject, DerefAliases: ldap.NeverDerefAliases,
		Filter: "(objectClass=*)", Attributes: []string{"1.1"},
	})
	if err == nil && len(res.Entries) == 0 {
		return ldap.NewError(ldap.LDAPResultNoSuchObject, fmt.Errorf("%s is not there or may not be read", dn))
	}
	return err
}

// SecondsLeft is the time limit of a search: it tells the server when its answer is no longer wanted. Zero, where the
// context has no end, means for ever.
func SecondsLeft(ctx context.Context) int {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int(math.Ceil(time.Until(deadline).Seconds())))
}
