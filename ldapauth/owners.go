package ldapauth

import (
	"context"
	"slices"
	"sync"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
)

// addressesPerSearch keeps the filter of one search short.
const addressesPerSearch = 20

// confirm reads the entry again after its password was proven, and with the
// same search looks for second owners of its addresses. first is the entry
// as it was a moment ago: the people's filter was applied then, and its names
// are not asked for once more.
func (d *Directory) confirm(ctx context.Context, first entry) (identity.Result, error) {
	before := d.addresses(first)
	if len(before) == 0 || len(before) > addressesPerSearch {
		return d.read(ctx, first.id)
	}
	f, err := d.search(ctx, d.ownerFilter(before...), d.again)
	if err != nil {
		return identity.Result{}, err
	}
	e, ok := f.only()
	if !ok || e.id != first.id {
		return d.read(ctx, first.id)
	}
	now := d.addresses(e)
	if slices.ContainsFunc(now, func(a browserid.Address) bool { return !slices.Contains(before, a) }) {
		return d.read(ctx, first.id)
	}
	for _, attribute := range first.Attributes {
		if !contains(d.again, attribute.Name) {
			e.Attributes = append(e.Attributes, attribute)
		}
	}
	return d.result(e, now), nil
}

// read reads one of the people by id, with the addresses that are theirs alone.
func (d *Directory) read(ctx context.Context, id string) (identity.Result, error) {
	f, err := d.search(ctx, "(&"+d.cfg.Schema.UserFilter+equals(d.cfg.Schema.ID.Attribute, id)+")", d.wholePerson)
	if err != nil {
		return identity.Result{}, err
	}
	e, ok := f.only()
	if !ok || e.id != id {
		if len(f.entries) > 1 {
			d.log.Error().Str("id", id).Str("attribute", d.cfg.Schema.ID.Attribute).
				Str("hint", "id_attribute must be unique").Msg("sign-in refused: more than one entry has this id")
		}
		return identity.Result{Status: identity.Gone, Person: identity.Person{Directory: d.cfg.Name, ID: id}}, nil
	}
	if d.state(e) != identity.OK {
		return d.result(e, nil), nil
	}
	addresses, err := d.owned(ctx, id, d.addresses(e))
	if err != nil {
		return identity.Result{}, err
	}
	return d.result(e, addresses), nil
}

// result judges the entry's own account state.
func (d *Directory) result(e entry, addresses []browserid.Address) identity.Result {
	if status := d.state(e); status != identity.OK {
		return identity.Result{Status: status, Person: identity.Person{Directory: d.cfg.Name, ID: e.id}, MayTell: true}
	}
	p := d.person(e)
	p.Addresses = addresses
	return identity.Result{Status: identity.OK, Person: p, MayTell: true}
}

// owned drops every address that anything else in the directory claims,
// a disabled account or a mailing list included.
//
// One search carries many addresses. If it finds the person and nothing else,
// none of them has a second owner. If it finds anything else, or the server
// held entries back, it does not say which address is ambiguous: then each
// address is asked for by itself, where two entries are enough to know.
func (d *Directory) owned(ctx context.Context, id string, addresses []browserid.Address) ([]browserid.Address, error) {
	var kept []browserid.Address
	for chunk := range slices.Chunk(addresses, addressesPerSearch) {
		f, err := d.search(ctx, d.ownerFilter(chunk...), d.onlyID)
		if err != nil {
			return nil, err
		}
		if e, ok := f.only(); ok && e.id == id {
			kept = append(kept, chunk...)
			continue
		}
		for _, address := range chunk {
			mine, err := d.ownsAlone(ctx, id, address)
			if err != nil {
				return nil, err
			}
			if mine {
				kept = append(kept, address)
			}
		}
	}
	return kept, nil
}

func (d *Directory) ownsAlone(ctx context.Context, id string, address browserid.Address) (bool, error) {
	f, err := d.search(ctx, d.ownerFilter(address), d.onlyID)
	if err != nil {
		return false, err
	}
	if e, ok := f.only(); ok && e.id == id {
		return true, nil
	}
	if d.ambiguous.first(address.String()) {
		d.log.Warn().Stringer("address", address).Strs("ids", ids(f.entries)).
			Str("hint", "take it from one of them").Msg("address withheld: two entries claim it")
	}
	return false, nil
}

func ids(entries []entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.id)
	}
	return list
}

const (
	reminderTime = time.Hour
	maxReminders = 1000
)

// reminders keep a fault that stays from filling the log: each is told once an
// hour.
type reminders struct {
	mu   sync.Mutex
	told map[string]time.Time
}

func (r *reminders) first(subject string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.told[subject]) < reminderTime {
		return false
	}
	if r.told == nil || len(r.told) >= maxReminders {
		r.told = make(map[string]time.Time)
	}
	r.told[subject] = time.Now()
	return true
}
