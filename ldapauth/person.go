package ldapauth

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
)

// state is what the entry itself says about the account. The server's answer
// to a bind is not enough: directories let people in whose account attributes
// say otherwise.
func (d *Directory) state(e entry) identity.Status {
	switch {
	case e.value(attrPwdLocked) != "":
		return identity.Locked
	case strings.EqualFold(e.value(attrPwdReset), "TRUE"):
		return identity.MustChange
	case expired(e.value(attrExpire), d.cfg.Now()):
		return identity.Expired
	}
	return identity.OK
}

// expired reads shadowExpire, the first day since 1970 on which the account is
// no more (shadow(5)); empty and -1 mean never.
func expired(days string, now time.Time) bool {
	if days == "" {
		return false
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil {
		return true // a date that cannot be read is no permission
	}
	const secondsPerDay = 24 * 60 * 60
	return n >= 0 && now.Unix()/secondsPerDay >= n
}

// person reads everything but the groups and the addresses.
func (d *Directory) person(e entry) identity.Person {
	login := text(e.value(d.cfg.Schema.LoginAttributes[0]))
	return identity.Person{
		Directory:       d.cfg.Name,
		ID:              e.id,
		Login:           login,
		Name:            cmp.Or(text(e.value(attrDisplayName)), text(e.value(attrCommonName)), login),
		GivenName:       text(e.value(attrGivenName)),
		FamilyName:      text(e.value(attrFamilyName)),
		PasswordChanged: generalizedTime(e.value(attrPwdChanged)),
	}
}

// text makes a directory string fit for pages and JSON.
func text(s string) string { return strings.ToValidUTF8(s, "�") }

// generalizedTime parses the forms that servers write (RFC 4517 section
// 3.3.13); zero for none.
func generalizedTime(s string) time.Time {
	t, err := time.Parse("20060102150405Z0700", s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
