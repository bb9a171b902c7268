package account

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/schema"
)

// Entry is an entry of a directory; [ldap.Entry] is one. Names of attributes are case-insensitive, values are bytes.
type Entry interface {
	GetEqualFoldAttributeValues(attribute string) []string
}

// Reader reads the entries of one kind of directory. It is safe for concurrent use.
type Reader struct {
	id           schema.ID
	rules        []schema.Rule
	passwordTime string
	disabled     func(Entry) bool // nil: no filter
	attributes   []string
	now          func() time.Time
}

// New returns a Reader. The error is that of a DisabledFilter that cannot be evaluated here.
func New(s schema.Schema, now func() time.Time) (*Reader, error) {
	r := &Reader{id: s.ID, rules: s.Account, passwordTime: s.PasswordTime, now: now}
	names := []string{s.ID.Attribute}
	for _, rule := range s.Account {
		names = append(names, rule.Attribute)
	}
	if s.DisabledFilter != "" {
		matches, used, err := compile(s.DisabledFilter)
		if err != nil {
			return nil, err
		}
		r.disabled, names = matches, append(names, used...)
	}
	if s.PasswordTime != "" {
		names = append(names, s.PasswordTime)
	}
	for _, name := range names {
		if !slices.ContainsFunc(r.attributes, func(have string) bool { return strings.EqualFold(have, name) }) {
			r.attributes = append(r.attributes, name)
		}
	}
	return r, nil
}

// Attributes are the names of all attributes that a search has to ask for, each once.
func (r *Reader) Attributes() []string { return r.attributes }

// State is what an entry says of its account.
type State struct {
	// Status is [identity.OK], or what ends a session: Deactivated, Expired, MustChange or Locked.
	Status identity.Status
	// LockedForNow reports a lock after wrong guesses. It may have run out: servers keep the attribute until
	// the next bind, which is what decides.
	LockedForNow bool
	// PasswordExpired reports that the password is too old. Some servers accept it a few times all the same.
	PasswordExpired bool
	// PasswordChanged is zero when the entry does not tell.
	PasswordChanged time.Time
	// Unreadable are attributes with a value that cannot be read. A rule about such a value holds, because a
	// date that cannot be read is no permission.
	Unreadable []string
	// Hidden are attributes that every entry has and this one does not show: what they would tell is not known.
	Hidden []string
	// Because are the attributes and values that are not in order, for an operator: "userAccountControl: 514".
	Because []string
}

// State reads the state of an entry's account as it is now. Of the rules that end a session the first that holds decides;
// the others hold beside it.
func (r *Reader) State(e Entry) State {
	s := State{Status: identity.OK}
	if r.disabled != nil && r.disabled(e) {
		s.Status, s.Because = identity.Deactivated, []string{"disabled_filter selects the entry"}
	}
	ends := map[schema.State]identity.Status{
		schema.Disabled: identity.Deactivated, schema.Expired: identity.Expired,
		schema.MustChange: identity.MustChange, schema.Locked: identity.Locked,
	}
	for _, rule := range r.rules {
		values := e.GetEqualFoldAttributeValues(rule.Attribute)
		if rule.Always && len(values) == 0 && !slices.Contains(s.Hidden, rule.Attribute) {
			s.Hidden = append(s.Hidden, rule.Attribute)
		}
		for _, value := range values {
			holds, readable := r.holds(rule, value)
			if !readable {
				s.Unreadable = append(s.Unreadable, rule.Attribute)
			}
			if because := rule.Attribute + ": " + value; holds && !slices.Contains(s.Because, because) {
				s.Because = append(s.Because, because)
			}
			switch {
			case !holds:
			case rule.Then == schema.LockedForNow:
				s.LockedForNow = true
			case rule.Then == schema.PasswordExpired:
				s.PasswordExpired = true
			case s.Status == identity.OK:
				s.Status = ends[rule.Then]
			}
		}
	}
	if r.passwordTime != "" {
		if values := e.GetEqualFoldAttributeValues(r.passwordTime); len(values) > 0 {
			var readable bool
			if s.PasswordChanged, readable = passwordTime(values[0]); !readable {
				s.Unreadable = append(s.Unreadable, r.passwordTime)
			}
		}
	}
	return s
}

// holds reports whether a value meets a rule's condition. One that cannot be read does.
func (r *Reader) holds(rule schema.Rule, value string) (holds, readable bool) {
	switch {
	case rule.Present:
		return true, true
	case rule.Is != "":
		return strings.EqualFold(strings.TrimSpace(value), rule.Is), true
	case rule.Letter != "":
		return strings.Contains(value, rule.Letter), true
	case rule.Bits != 0:
		n, err := strconv.ParseInt(value, 10, 64) // Active Directory writes them as signed
		return err != nil || uint32(n)&rule.Bits == rule.Bits, err == nil
	}
	format := rule.Past
	if rule.Future != "" {
		format = rule.Future
	}
	at, never, readable := parse(format, value)
	switch {
	case !readable:
		return true, false
	case never:
		return false, true
	}
	return at.After(r.now()) == (rule.Future != ""), true
}
