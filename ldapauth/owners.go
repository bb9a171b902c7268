package ldapauth

import (
	"context"
	"slices"
	"sync"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/mailbox"

	"github.com/rs/zerolog"
)

// addressesPerSearch keeps the filter of one search short.
const addressesPerSearch = 20

// confirm looks, after the password was proven, for second holders of the addresses. first is the entry
// as it was a moment ago: the people's filter was applied then, and what the bind cannot have changed
// is not asked for once more. Each certificate is preceded by a Lookup, which reads everything.
func (d *Directory) confirm(ctx context.Context, first entry) (identity.Result, error) {
	report := d.mailboxes.Read(first.values)
	addresses := report.Addresses()
	if len(addresses) == 0 || len(addresses) > addressesPerSearch {
		return d.read(ctx, first.id)
	}
	filter := d.holderFilter(addresses...)
	condition, err := d.memberFilter(ctx)
	if err != nil {
		return identity.Result{}, err
	}
	if condition != "" { // finds the person when they are in the required group, and other holders in any case
		me := d.byID(first.id)
		filter = "(&" + filter + "(|" + condition + "(!" + me + ")))"
	}
	f, err := d.search(ctx, filter, d.again)
	if err != nil {
		return identity.Result{}, err
	}
	e, ok := f.only()
	if !ok || e.DN != first.DN {
		return d.read(ctx, first.id)
	}
	e.id = first.id
	for _, attribute := range first.Attributes {
		if !contains(d.again, attribute.Name) {
			e.Attributes = append(e.Attributes, attribute)
		}
	}
	return d.admitted(ctx, e, d.result(e, report), condition != "")
}

// read reads one of the people by id, with the addresses that are theirs alone.
func (d *Directory) read(ctx context.Context, id string) (identity.Result, error) {
	f, member, err := d.readPerson(ctx, id)
	if err != nil {
		return identity.Result{}, err
	}
	e, ok := f.only()
	if !ok || e.id != id {
		if len(f.entries) > 1 {
			d.log.Error().Str("id", id).Str("attribute", d.cfg.Schema.ID.Attribute).Strs("dns", names(f.entries)).
				Str("hint", "id_attribute must be unique").Msg("sign-in refused: more than one entry has this id")
		}
		return identity.Result{Status: identity.Gone, Person: identity.Person{Directory: d.cfg.Name, ID: id}}, nil
	}
	if d.state(e).Status != identity.OK {
		return d.result(e, nil), nil
	}
	report, err := d.addresses(ctx, e)
	if err != nil {
		return identity.Result{}, err
	}
	return d.admitted(ctx, e, d.result(e, report), member)
}

// result judges the entry's own account state.
func (d *Directory) result(e entry, report mailbox.Report) identity.Result {
	state := d.state(e)
	if state.Status != identity.OK {
		return identity.Result{Status: state.Status, Person: identity.Person{Directory: d.cfg.Name, ID: e.id}, MayTell: true}
	}
	for _, value := range report {
		if value.Reason != "" {
			d.log.Debug().Str("id", e.id).Str("attribute", value.Attribute).Str("value", value.Written).
				Str("reason", string(value.Reason)).Msg("not an address that counts")
		}
	}
	p := d.person(e)
	p.PasswordChanged, p.PasswordExpired = state.PasswordChanged, state.PasswordExpired
	p.Addresses, p.Contested = report.Addresses(), report.Contested()
	return identity.Result{Status: identity.OK, Person: p, MayTell: true}
}

// addresses judges every address of an entry; those that anything else in the directory has, too, a disabled
// account or a mailing list included, do not count.
//
// One search carries many addresses. If it finds the entry and nothing else,
// none of them has a second holder. If it finds anything else, or the server
// held entries back, it does not say which address is contested: then each
// address is asked for by itself, where two entries are enough to know.
func (d *Directory) addresses(ctx context.Context, e entry) (mailbox.Report, error) {
	report := d.mailboxes.Read(e.values)
	for chunk := range slices.Chunk(report.Addresses(), addressesPerSearch) {
		f, err := d.search(ctx, d.holderFilter(chunk...), d.onlyID)
		if err != nil {
			return nil, err
		}
		if only, ok := f.only(); ok && only.id == e.id {
			continue
		}
		for _, address := range chunk {
			f, err := d.search(ctx, d.holderFilter(address), d.onlyID)
			if err != nil {
				return nil, err
			}
			only, ok := f.only()
			switch {
			case ok && only.id == e.id:
				continue
			case len(f.entries) > 0:
				report.Drop(address, mailbox.Contested, names(f.entries))
			case d.cfg.Schema.IgnoreHolders != "":
				report.Drop(address, mailbox.Ignored, nil)
			default:
				report.Drop(address, mailbox.NotSearchable, nil)
			}
		}
	}
	d.warn(e, report)
	return report, nil
}

// withholdLogin takes the login from a person where a search for it does not find that one of the people alone: the
// two can sign in by their addresses, and whom the login is told would take one for the other.
func (d *Directory) withholdLogin(ctx context.Context, e entry, p *identity.Person) error {
	attribute := d.cfg.Schema.LoginAttributes[0]
	value := e.value(attribute)
	if value == "" {
		return nil
	}
	f, err := d.searchPeople(ctx, equals(attribute, value), d.onlyID)
	if err != nil {
		return err
	}
	if only, ok := f.only(); ok && only.id == e.id {
		return nil
	}
	p.Login = ""
	if d.reminders.first(attribute + " " + value) {
		d.log.Warn().Str("id", e.id).Str("attribute", attribute).Str("value", value).Strs("dns", names(f.entries)).
			Str("hint", "rename one of them, or let websites go by the address or the id (identity_headers.user)").
			Msg("login withheld: a search for it does not find this entry alone")
	}
	return nil
}

// warn tells the administrator, once an hour, what only they can change.
func (d *Directory) warn(e entry, report mailbox.Report) {
	for _, value := range report {
		warning := func() *zerolog.Event { return d.log.Warn().Str("id", e.id).Stringer("address", value.Address) }
		switch {
		case value.Reason == mailbox.Contested && d.reminders.first(value.Address.String()):
			dns := value.Holders
			if !slices.Contains(dns, e.DN) {
				dns = append(slices.Clone(dns), e.DN)
			}
			warning().Strs("dns", dns).Str("hint", "take it from all but one of them, or name in ignore_holders those that do not count").
				Msg("address withheld: more than one entry has it")
		case value.Reason == mailbox.NotSearchable && d.reminders.first(value.Attribute+" "+value.Address.String()):
			warning().Str("attribute", value.Attribute).Str("hint", "let bind_dn search by the attribute").
				Msg("address withheld: a search for it does not find the entry")
		case value.Reason == mailbox.TooMany && d.reminders.first(e.id):
			warning().Msg("an entry has too many addresses: the rest is ignored")
		case value.Reason == mailbox.SelfService && d.reminders.first(string(mailbox.SelfService)):
			d.log.Warn().Str("hint", "if they cannot, set mail_is_admin_only: true").
				Msg("addresses withheld: people of this kind of directory may write their own mail attribute")
		}
	}
}

// names returns the DNs of entries.
func names(entries []entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.DN)
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
