package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/mailbox"
)

// WhoIs asks the directory for a name that people type, and plans a step for each thing that it says. No password is
// needed, no attempt is counted, and the state directory is not touched. The steps have failed if the person could
// not sign in, or would have no address.
func (d *Directory) WhoIs(ctx context.Context, login string) report.Group {
	group := report.Group{Subject: login + " in directory " + d.Name}
	add := func(name string, found report.Finding) {
		group.Steps = append(group.Steps, report.Step{Name: name, Run: func(context.Context) report.Finding { return found }})
	}
	who, err := d.askFor(ctx, login)
	if err != nil {
		add("entry", report.Error("", err, lookAtItsLog))
		return group
	}
	add("entry", d.describeEntry(who, login))
	if len(who.Entries) != 1 {
		return group
	}
	e, s := who.Entries[0], d.Settings.Schema
	if e.NoID != nil {
		add("id", report.Fail(identity.Hint(e.NoID), "%s", e.NoID))
	} else {
		add("id", report.Pass("%s %s", s.ID.Attribute, e.Person.ID))
	}
	add("account", d.describeAccount(e))
	for _, v := range e.Addresses {
		add("address", describeValue(e, v))
	}
	if len(e.Person.Addresses) == 0 {
		add("addresses", report.Fail("the sign-in is refused without one: see above, or set address_attributes",
			"none of %s in %s", strings.Join(d.Settings.Domains, ", "), strings.Join(s.AddressAttributes, ", ")))
	}
	if changed := e.Person.PasswordChanged; !changed.IsZero() {
		add("password", report.Pass("changed at %s", changed.Format(time.RFC3339)))
	}
	if len(e.Person.Groups) > 0 {
		add("groups", report.Pass("%s", strings.Join(e.Person.Groups, ", ")))
	}
	return group
}

// askFor opens the directory for one name.
func (d *Directory) askFor(ctx context.Context, login string) (ldapauth.Whois, error) {
	d.Settings.Groups = true
	opened, err := ldapauth.New(d.Settings)
	if err != nil {
		return ldapauth.Whois{}, err
	}
	defer func() { _ = opened.Close() }()
	return opened.WhoIs(ctx, login)
}

// describeEntry says which entry the name means.
func (d *Directory) describeEntry(who ldapauth.Whois, login string) report.Finding {
	attributes := slices.Clone(d.Settings.Schema.LoginAttributes)
	if strings.Contains(login, "@") {
		for _, name := range d.Settings.Schema.AddressAttributes {
			if !slices.Contains(attributes, name) {
				attributes = append(attributes, name)
			}
		}
	}
	logins := strings.Join(attributes, ", ")
	switch {
	case len(who.Entries) > 1:
		return report.Fail("make the values of "+logins+" unique, or let login_attributes name fewer",
			"the name means more than one entry, and is refused: %s and %s", who.Entries[0].DN, who.Entries[1].DN)
	case len(who.Entries) == 1 && len(who.By) == 0:
		return report.Pass("%s", who.Entries[0].DN)
	case len(who.Entries) == 1:
		return report.Pass("%s, by its %s", who.Entries[0].DN, strings.Join(who.By, ", "))
	case len(who.Outside) > 0:
		return report.Fail("if they are to sign in, let user_filter select them",
			"%s has the name, and user_filter %s does not select it", strings.Join(who.Outside, " and "), d.Settings.Schema.UserFilter)
	case !identity.ValidLogin(login):
		return report.Fail("write the name as people type it", "this is no name that any directory is asked for")
	}
	return report.Fail("look at login_attributes and base_dn, and whether "+d.account()+" may read there",
		"no entry below %s has the name in %s", d.bases(), logins)
}

// describeAccount tells if the account is in order, and which attributes say that it is not.
func (d *Directory) describeAccount(e ldapauth.Entry) report.Finding {
	because := strings.Join(e.Because, ", ")
	switch e.Account {
	case identity.OK:
		return report.Pass("in order")
	case identity.NotInGroup:
		return report.Fail("make the person a member, or correct required_group", "not in the required group %s", d.Section.RequiredGroup)
	case identity.LockedForNow:
		return report.Fail("wait, or unlock the account in the directory", "locked for a while after wrong passwords, unless that time has passed (%s)", because)
	case identity.PasswordExpired:
		return report.Fail("let the person change the password", "the password has expired, and is refused unless the directory allows a few more sign-ins (%s)", because)
	case identity.MustChange:
		return report.Fail("let the person change the password", "the password has to be changed first (%s)", because)
	default:
		return report.Fail("change it in the directory if it is wrong", "%s (%s)", e.Account, because)
	}
}

// describeValue says what becomes of a value of an address attribute.
func describeValue(e ldapauth.Entry, v mailbox.Value) report.Finding {
	text := fmt.Sprintf("%q in %s: %s", v.Written, v.Attribute, v.Reason)
	switch v.Reason {
	case "":
		return report.Pass("%s, by its %s", v.Address, v.Attribute)
	case mailbox.OtherDomain, mailbox.Repeated, mailbox.OtherPrefix:
		return report.Skip("%s", text)
	case mailbox.Contested:
		return report.Warn("take it from all but one of them, or let ignore_holders select those that do not count", "%s: %s", text, strings.Join(othersOf(e, v), " and "))
	case mailbox.SelfService:
		return report.Warn("if they cannot, set mail_is_admin_only: true", "%s", text)
	case mailbox.Ignored, mailbox.NotSearchable, mailbox.TooMany:
		return report.Warn("change it, if the person is to have the address", "%s", text)
	default:
		return report.Warn("correct the value, if it is meant as an address", "%s", text)
	}
}
