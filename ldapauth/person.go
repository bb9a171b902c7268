package ldapauth

import (
	"cmp"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/account"
)

// state is what the entry itself says about the account. The server's answer
// to a bind is not enough: directories let people in whose account attributes
// say otherwise.
func (d *Directory) state(e entry) account.State {
	state := d.account.State(e)
	for _, attribute := range state.Unreadable {
		if d.reminders.first("unreadable " + attribute) {
			d.log.Warn().Str("id", e.id).Str("attribute", attribute).
				Str("hint", "a date that cannot be read is no permission: correct the value").
				Msg("an attribute about an account cannot be read")
		}
	}
	for _, attribute := range state.Hidden {
		if d.reminders.first("hidden " + attribute) {
			d.log.Warn().Str("id", e.id).Str("attribute", attribute).
				Str("hint", "let bind_dn read it: until then what it tells, such as that an account is disabled, is seen at sign-ins alone and ends no session").
				Msg("an attribute about accounts is hidden from the service account")
		}
	}
	return state
}

// person reads everything but the groups and the addresses.
func (d *Directory) person(e entry) identity.Person {
	login := text(e.value(d.cfg.Schema.LoginAttributes[0]))
	return identity.Person{
		Directory: d.cfg.Name,
		ID:        e.id,
		Login:     login,
		Name:      cmp.Or(text(e.value(attrDisplayName)), text(e.value(attrCommonName)), login),
	}
}

// text makes a directory string fit for pages and JSON.
func text(s string) string { return strings.ToValidUTF8(s, "�") }
