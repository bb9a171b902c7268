package ldapauth

import (
	"context"
	"slices"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/group"
)

// useGroups prepares for questions about groups, where any are wanted.
func (d *Directory) useGroups() {
	d.withGroups = d.wholePerson
	if !d.cfg.Groups && d.cfg.RequiredGroup == "" {
		return
	}
	d.groups = group.New(group.Config{
		Schema: d.cfg.Schema.Groups, Bases: d.cfg.BaseDNs, Login: d.cfg.Schema.LoginAttributes[0],
		Required: d.cfg.RequiredGroup, Search: d.ask, Now: d.cfg.Now,
	})
	d.withGroups = distinct(slices.Concat(d.wholePerson, d.groups.Attributes()))
	if d.cfg.Groups {
		d.again = distinct(slices.Concat(d.again, d.groups.Attributes()))
	}
}

// memberFilter is what the filter of a person's entry is joined with, so that one search also tells that they are in the
// required group; "" when it cannot.
func (d *Directory) memberFilter(ctx context.Context) (string, error) {
	if d.cfg.RequiredGroup == "" || d.cfg.Groups { // else their groups are read anyway
		return "", nil
	}
	return d.groups.Filter(ctx)
}

// readPerson looks for one of the people by id. member reports that the search has shown them to be in the required
// group; when it is false, the entry has what tells their groups.
func (d *Directory) readPerson(ctx context.Context, id string) (f found, member bool, err error) {
	person := d.byID(id)
	condition, err := d.memberFilter(ctx)
	if err != nil {
		return found{}, false, err
	}
	if condition != "" {
		f, err := d.searchPeople(ctx, person+condition, d.wholePerson)
		if err != nil || f.more || len(f.entries) > 0 {
			return f, true, err
		}
	}
	f, err = d.searchPeople(ctx, person, d.withGroups)
	return f, false, err
}

// admitted is the answer about a person of whom groups or the login matter, res what it is without them. member reports that a search has shown them to be in the required
// group; otherwise the entry was read with what tells their groups.
func (d *Directory) admitted(ctx context.Context, e entry, res identity.Result, member bool) (identity.Result, error) {
	if res.Status != identity.OK {
		return res, nil
	}
	if d.cfg.Logins {
		if err := d.withholdLogin(ctx, e, &res.Person); err != nil {
			return identity.Result{}, err
		}
	}
	if d.groups == nil {
		return res, nil
	}
	var err error
	if d.cfg.Groups {
		var all []group.Group
		if all, err = d.groups.Of(ctx, e.Entry); err != nil {
			return identity.Result{}, err
		}
		for _, g := range all {
			res.Person.Groups = append(res.Person.Groups, text(g.Name))
		}
		res.Person.Groups = slices.Compact(res.Person.Groups)
		if d.cfg.RequiredGroup != "" {
			member, err = d.groups.Contains(ctx, all)
		}
	} else if !member {
		member, err = d.groups.Holds(ctx, e.Entry)
	}
	if err != nil || member || d.cfg.RequiredGroup == "" {
		return res, err
	}
	if err := d.groups.Check(ctx); err != nil && d.reminders.first("required_group") {
		d.log.Error().Err(err).Str("hint", identity.Hint(err)).Msg("no one is in the required group, so no one can sign in")
	}
	res = d.refusal(identity.NotInGroup, e.id)
	res.MayTell = true
	return res, nil
}

// CheckRequiredGroup returns an error with a hint when the required group is not there or is not the only one of its
// name. Without a required group there is nothing to find.
func (d *Directory) CheckRequiredGroup(ctx context.Context) error {
	if d.cfg.RequiredGroup == "" {
		return nil
	}
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if err := d.groups.Check(ctx); err != nil {
		return d.failure(err)
	}
	return nil
}
