package ldapauth

import (
	"context"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/mailbox"
)

// Entry is what the directory says of one entry, for an operator. It holds no secret.
type Entry struct {
	DN string
	// NoID is why the entry cannot be identified, so that no one signs in by it, an [account.UnusableID]; nil if it can.
	NoID error
	// Account is what the entry's attributes and its groups tell: OK, or why its person may not sign in.
	Account identity.Status
	// Because are the attributes and values that are why, such as "userAccountControl: 514".
	Because []string
	// Person is who signs in by it, with their groups if Config.Groups wants them.
	Person identity.Person
	// Addresses are what became of all values of the address attributes.
	Addresses mailbox.Report
}

// Whois is what the directory says of a name that people type.
type Whois struct {
	// Entries are the people that the name means. More than one is refused, and no more than two are looked for.
	Entries []Entry
	// By are the attributes in which the name stands, of the only entry.
	By []string
	// Outside are the DNs of entries with that name that UserFilter does not select. They are looked for when there
	// are no others.
	Outside []string
}

// WhoIs looks for a name as a sign-in does, without a password: nothing is counted, and no one is bound as. An
// error means only that the directory could not answer.
func (d *Directory) WhoIs(ctx context.Context, login string) (Whois, error) {
	login = identity.CleanLogin(login)
	if !identity.ValidLogin(login) {
		return Whois{}, nil
	}
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	who, err := d.whoIs(ctx, login)
	if err != nil {
		return Whois{}, d.failure(err)
	}
	return who, nil
}

func (d *Directory) whoIs(ctx context.Context, login string) (Whois, error) {
	name := d.meaning(ctx, login)
	found, err := d.named(ctx, name, d.withGroups)
	if err != nil {
		return Whois{}, err
	}
	var who Whois
	for _, e := range found.entries {
		examined, err := d.examine(ctx, e)
		if err != nil {
			return Whois{}, err
		}
		who.Entries = append(who.Entries, examined)
	}
	switch {
	case len(who.Entries) == 1 && !found.more:
		who.By = d.has(found.entries[0], login)
	case len(who.Entries) == 0:
		others, err := d.search(ctx, name.filter, d.onlyID)
		if err != nil {
			return Whois{}, err
		}
		who.Outside = names(others.entries)
	}
	return who, nil
}

// examine judges an entry as a sign-in would, the password aside, and keeps the reasons. The entry was read with its
// groups, where any are wanted.
func (d *Directory) examine(ctx context.Context, e entry) (Entry, error) {
	state := d.state(e)
	examined := Entry{DN: e.DN, NoID: e.unusable, Account: state.Status, Because: state.Because, Person: d.person(e)}
	switch {
	case state.Status != identity.OK:
	case state.LockedForNow:
		examined.Account = identity.LockedForNow
	case state.PasswordExpired:
		examined.Account = identity.PasswordExpired
	}
	examined.Person.PasswordChanged, examined.Person.PasswordExpired = state.PasswordChanged, state.PasswordExpired
	var err error
	if examined.Addresses, err = d.addresses(ctx, e); err != nil {
		return Entry{}, err
	}
	examined.Person.Addresses, examined.Person.Contested = examined.Addresses.Addresses(), examined.Addresses.Contested()
	if d.groups == nil {
		return examined, nil
	}
	groups, err := d.groups.Of(ctx, e.Entry)
	if err != nil {
		return Entry{}, err
	}
	for _, g := range groups {
		examined.Person.Groups = append(examined.Person.Groups, text(g.Name))
	}
	if d.cfg.RequiredGroup != "" && examined.Account == identity.OK {
		member, err := d.groups.Contains(ctx, groups)
		if err != nil {
			return Entry{}, err
		}
		if !member {
			examined.Account = identity.NotInGroup
		}
	}
	return examined, nil
}
