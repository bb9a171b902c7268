package directory

import (
	"crypto/subtle"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// identity is who a connection is bound as; its zero value is nobody.
type identity struct {
	dn      string // normalized
	service bool
}

func (i identity) anonymous() bool { return i.dn == "" }

// mayRead: the service account reads everything, a person their own entry.
func (i identity) mayRead(e entry) bool { return i.service || normalizeDN(e.dn) == i.dn }

// policy is what the password policy control says of a bind (draft-behera-ldap-password-policy-10, section 6.2);
// its zero value says nothing.
type policy struct {
	fault int
	told  bool
}

// bind checks a simple bind. A failed one leaves the connection nobody's (RFC 4513, section 4).
func (t *tree) bind(m *gldap.SimpleBindMessage) (identity, outcome, policy) {
	password := string(m.Password)
	switch {
	case m.UserName == "" && password == "":
		return identity{}, outcome{code: gldap.ResultSuccess}, policy{}
	case password == "":
		return identity{}, outcome{gldap.ResultUnwillingToPerform, "a DN without a password proves nothing"}, policy{}
	}
	if _, err := ldap.ParseDN(m.UserName); err != nil {
		return identity{}, outcome{gldap.ResultInvalidDNSyntax, "the name is not a DN"}, policy{}
	}
	dn := normalizeDN(m.UserName)
	known, found := t.accounts[dn]
	right := subtle.ConstantTimeCompare([]byte(known.password), []byte(password)) == 1
	switch {
	case found && known.state == Locked:
		return identity{}, outcome{code: gldap.ResultInvalidCredentials}, policy{fault: gldap.BeheraAccountLocked, told: true}
	case !found || !right:
		return identity{}, outcome{code: gldap.ResultInvalidCredentials}, policy{}
	case known.state == MustChange:
		return identity{dn: dn}, outcome{code: gldap.ResultSuccess}, policy{fault: gldap.BeheraChangeAfterReset, told: true}
	}
	return identity{dn: dn, service: known.service}, outcome{code: gldap.ResultSuccess}, policy{}
}

// asksForPolicy tells whether the client sent the password policy control with its bind.
func asksForPolicy(controls []gldap.Control) bool {
	for _, c := range controls {
		if strings.EqualFold(c.GetControlType(), gldap.ControlTypeBeheraPasswordPolicy) {
			return true
		}
	}
	return false
}

// bound remembers who each connection is bound as.
type bound struct {
	mu          sync.Mutex
	connections map[int]identity
}

func (b *bound) set(connection int, who identity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if who.anonymous() {
		delete(b.connections, connection)
		return
	}
	b.connections[connection] = who
}

func (b *bound) get(connection int) identity {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connections[connection]
}
