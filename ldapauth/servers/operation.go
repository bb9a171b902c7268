package servers

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// PolicyChangeAfterReset is the error of the password policy control (draft-behera-ldap-password-policy-11
// section 6.2) that says that the password must be changed before anything else is allowed.
const PolicyChangeAfterReset = 2

// Search asks one server, as the service account. The result goes with an error of a size limit: it is what
// the server did return. An error has a hint where one is known; [Answer] tells the server's refusals from outages.
func (s *Set) Search(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	if err := s.searches.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.searches.release()
	return s.search(ctx, req)
}

func (s *Set) search(ctx context.Context, req *ldap.SearchRequest) (res *ldap.SearchResult, err error) {
	err = s.do(ctx, searchConn, func(c *conn) (err error) {
		res, err = c.ldap.Search(req)
		return err
	})
	if err != nil {
		err = WithHint(err, searchHint(err, req.BaseDN))
	}
	return res, err
}

// Bind checks a password on a connection that is used for nothing else, and returns what the server says of it
// in the password policy control, nil for nothing. [Answer] tells a refusal from an outage.
//
// A bind whose connection broke before the answer is sent again, so in rare cases the directory counts one wrong
// password twice.
func (s *Set) Bind(ctx context.Context, dn string, password Secret) (policy *ldap.ControlBeheraPasswordPolicy, err error) {
	if err := s.binds.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.binds.release()
	req := &ldap.SimpleBindRequest{
		Username: dn, Password: string(password),
		Controls: []ldap.Control{ldap.NewControlBeheraPasswordPolicy()},
	}
	err = s.do(ctx, bindConn, func(c *conn) error {
		res, err := c.ldap.SimpleBind(req)
		policy = passwordPolicy(res)
		c.spoilt = policy != nil && policy.Error >= 0 // the server may have restricted the connection
		return err
	})
	if err != nil {
		err = WithHint(err, resultHint(err))
	}
	return policy, err
}

func passwordPolicy(res *ldap.SimpleBindResult) *ldap.ControlBeheraPasswordPolicy {
	if res == nil {
		return nil
	}
	policy, _ := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	return policy
}

// Ping reads one entry, without waiting for the searches in flight. An entry that is not there, or may not be
// read, is an error.
func (s *Set) Ping(ctx context.Context, dn string) error {
	res, err := s.search(ctx, &ldap.SearchRequest{
		BaseDN: dn, Scope: ldap.ScopeBaseObject, DerefAliases: ldap.NeverDerefAliases,
		TimeLimit: SecondsLeft(ctx), Filter: "(objectClass=*)", Attributes: []string{"1.1"},
	})
	if err == nil && len(res.Entries) == 0 {
		err = ldap.NewError(ldap.LDAPResultNoSuchObject, fmt.Errorf("%s is not there or may not be read", dn))
		err = WithHint(err, searchHint(err, dn))
	}
	return err
}

// Bounded returns a context that ends with the set as well.
func (s *Set) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(s.closing, cancel)
	return ctx, func() { release(); cancel() }
}

// Closed reports whether Close was called.
func (s *Set) Closed() bool { return s.closing.Err() != nil }

// SecondsLeft is the time limit of a search: it tells the server when its answer is no longer wanted. Zero, where the
// context has no end, means for ever.
func SecondsLeft(ctx context.Context) int {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int(math.Ceil(time.Until(deadline).Seconds())))
}
