package gate

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

const (
	// mostGroups bounds the field with the groups, in bytes: servers take 8 KiB in one.
	mostGroups = 4 << 10
	// mostText bounds every other field but the assertion.
	mostText = 1 << 10
)

// teller makes the fields that tell websites who is signed in.
type teller struct {
	assertions *assertion.Issuer
	now        func() time.Time
	log        zerolog.Logger
	made       madeFields
	warned     warnings
}

func newTeller(assertions *assertion.Issuer, now func() time.Time, log zerolog.Logger) *teller {
	return &teller{assertions: assertions, now: now, log: log, made: madeFields{young: map[madeKey]*slot{}, limit: mostMade}}
}

// fields returns the fields that tell a website who is signed in, which the caller must
// not change. There are none where the website is told nothing, and none where the field
// that names the person cannot be sent: the person is then a stranger to the website.
func (t *teller) fields(site *Site, s *session.Subject) []Field {
	if site.Headers == nil || s == nil {
		return nil
	}
	return t.made.get(madeKey{site, s.ID}, t.now(), s, func() (fields []Field, keep bool) { return t.make(site, s) })
}

// make makes the fields. keep reports whether they are good for a while.
func (t *teller) make(site *Site, s *session.Subject) (fields []Field, keep bool) {
	names, p := site.Headers, &s.Person
	email := ""
	if len(p.Addresses) > 0 {
		email = p.Addresses[0].String()
	}
	user := map[UserIs]string{UserIsLogin: p.Login, UserIsEmail: email, UserIsID: p.ID}[names.UserIs]
	if names.User != "" && user == "" {
		t.warn(site, p, "field", string(names.UserIs), "the directory knows no value for the field that names the person").
			Msg("the website is not told who is signed in")
		return nil, true
	}
	for _, f := range []struct {
		name, value, what string
		identifies        bool
	}{
		{names.User, user, string(names.UserIs), true},
		{names.Email, email, "email", true},
		{names.Name, p.Name, "name", false},
		{names.Groups, "", "groups", false},
		{names.ID, p.ID, "id", true},
	} {
		switch {
		case f.name == "":
			continue
		case f.what == "groups":
			f.value = t.groups(site, p)
		case f.value == "":
			continue
		case !sendable(f.value) || len(f.value) > mostText:
			if f.identifies {
				t.warn(site, p, "field", f.what, "its value cannot be sent in a field").Msg("the website is not told who is signed in")
				return nil, true
			}
			t.warn(site, p, "field", f.what, "its value cannot be sent in a field").Msg("a field is left out")
			continue
		}
		if value := names.NameEncoding.write(f.value, f.what == "name"); value != "" {
			fields = append(fields, Field{f.name, value})
		}
	}
	if names.Assertion == "" {
		return fields, true
	}
	token, omitted, err := t.assertions.Assertion(site.Authority, names.Audience, s)
	if err != nil {
		if t.warned.first("assertion", t.now()) {
			t.log.Error().Err(err).Str("site", site.Host).Str("hint", identity.Hint(err)).Msg("the assertion is left out")
		}
		return fields, false
	}
	if omitted > 0 {
		t.warn(site, p, "field", "assertion", "it would be longer than 8000 bytes").Int("left_out", omitted).Msg("the last groups are left out")
	}
	return append(fields, Field{names.Assertion, token}), true
}

// sendable reports whether every server reads a value as it was sent: without control
// characters, and without white space around it, which servers remove.
func sendable(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl) && strings.TrimSpace(value) == value
}

// groups returns the names of the groups as one value. Names that a website would take for
// something else are left out: those with the separator, and those with quotation marks,
// which readers of lists remove.
func (t *teller) groups(site *Site, p *identity.Person) string {
	separator, chosen := site.Headers.GroupSeparator, site.Headers.SendGroups
	var b strings.Builder
	last := 0 // how many did not fit
	for _, group := range p.Groups {
		if chosen != nil && !slices.ContainsFunc(chosen, func(pattern string) bool { return selects(pattern, group) }) {
			continue
		}
		if group == "" || !sendable(group) || strings.ContainsAny(group, separator+`"`) ||
			strings.TrimSpace(separator) == "" && strings.ContainsFunc(group, unicode.IsSpace) {
			t.warn(site, p, "group", printable.Text(group, 80), "its name has the separator, a quotation mark, a control character or white space around it").
				Msg("a group is left out")
			continue
		}
		if last > 0 || b.Len()+len(separator)+len(group) > mostGroups {
			last++
			continue
		}
		if b.Len() > 0 {
			b.WriteString(separator)
		}
		b.WriteString(group)
	}
	if last > 0 {
		t.warn(site, p, "field", "groups", "it would be longer than 4 KiB").Int("left_out", last).
			Str("hint", "name the groups that the website needs in send_groups").Msg("the last groups are left out")
	}
	return b.String()
}

// selects reports whether an entry of SendGroups selects a group. Directories compare the
// names of groups without regard to case.
func selects(pattern, group string) bool {
	begin, open := strings.CutSuffix(pattern, "*")
	if !open {
		return strings.EqualFold(pattern, group)
	}
	pattern, group = strings.ToLower(begin), strings.ToLower(group)
	return strings.HasPrefix(group, pattern)
}

// write returns a value as it is sent; "" leaves the field out. Most encodings are about
// display names alone, but who decodes one field from quoted-printable decodes all; it is
// that of RFC 2045, section 6.7, without soft line breaks.
func (e NameEncoding) write(value string, displayName bool) string {
	switch {
	case e == NamePercent && displayName:
		return url.PathEscape(value)
	case e == NameOmit && displayName && strings.ContainsFunc(value, func(c rune) bool { return c > unicode.MaxASCII }):
		return ""
	case e != NameQuotedPrintable:
		return value
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '=' {
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// warn begins a warning about a field or a group of a person: once an hour for each person
// and field, and for each group. The result is nil otherwise, which zerolog takes.
func (t *teller) warn(site *Site, p *identity.Person, kind, about, reason string) *zerolog.Event {
	key := kind + "\x00" + site.Host + "\x00" + about
	if kind == "field" {
		key += "\x00" + reason + "\x00" + p.ID
	}
	if !t.warned.first(key, t.now()) {
		return nil
	}
	return t.log.Warn().Str("site", site.Host).Str("person", assertion.Subject(*p)).Str(kind, about).Str("reason", reason)
}

// warnings bounds what is logged: each text once an hour, and a thousand texts.
type warnings struct {
	mu    sync.Mutex
	since time.Time
	seen  map[string]bool
}

func (w *warnings) first(key string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if age := now.Sub(w.since); w.seen == nil || age >= time.Hour || age < 0 {
		w.since, w.seen = now, map[string]bool{}
	}
	if w.seen[key] || len(w.seen) >= 1000 {
		return false
	}
	w.seen[key] = true
	return true
}
