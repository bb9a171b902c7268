package gate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/net/http/httpguts"

	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

// ringStore holds the key of assertions, made once for all tests.
var ringStore = sync.OnceValue(func() *idptest.Store {
	store := idptest.NewStore(time.Now)
	ring := keys.New(keys.Config{Store: store, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Ensure(context.Background(), keys.Want{Host: "id.example.test", Use: keys.UseAssertions}); err != nil {
		panic(err)
	}
	return store
})

// telling is a teller with what it stands on. It counts the signatures.
type telling struct {
	*teller
	*keys.Ring
	clock *idptest.Clock
	log   bytes.Buffer
	signs atomic.Int32
	begun func() // called before each signature, if set
}

func (w *telling) Signer(host string, use keys.Use) (string, crypto.Signer, error) {
	w.signs.Add(1)
	if w.begun != nil {
		w.begun()
	}
	return w.Ring.Signer(host, use)
}

func newTelling(t testing.TB) *telling {
	t.Helper()
	w := &telling{clock: idptest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))}
	w.Ring = keys.New(keys.Config{Store: ringStore(), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.teller = newTeller(assertion.New(assertion.Config{Keys: w, Now: w.clock.Now}), w.clock.Now, zerolog.New(zerolog.SyncWriter(&w.log)))
	return w
}

// site returns a website that is told all fields of the preset remote.
func site(changes ...func(*Headers)) *Site {
	h := &Headers{
		User: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups", ID: "Remote-Id", Assertion: "X-Persona-Assertion",
		UserIs: UserIsLogin, GroupSeparator: ",", NameEncoding: NameUTF8, Audience: "https://example.test",
	}
	for _, change := range changes {
		change(h)
	}
	return &Site{
		Host: "example.test", Headers: h,
		Authority: &identity.Host{Name: "id.example.test", Origin: "https://id.example.test", DirectoryName: "corp"},
	}
}

// anna is signed in.
func anna(changes ...func(*identity.Person)) *session.Subject {
	s := &session.Subject{
		ID: strings.Repeat("5e", 16), AuthTime: time.Date(2026, 11, 20, 11, 59, 0, 0, time.UTC),
		Person: identity.Person{
			Directory: "corp", ID: "7f1c", Login: "anna", Name: "Änne Müller", Groups: []string{"Entwickler süd", "staff"},
			Addresses: idptest.Addresses("anna@example.test", "a.mueller@example.test"),
		},
	}
	for _, change := range changes {
		change(&s.Person)
	}
	return s
}

// told writes fields as one line, without the assertion.
func told(fields []Field) string {
	var lines []string
	for _, f := range fields {
		if f.Name != "X-Persona-Assertion" {
			lines = append(lines, strings.TrimPrefix(f.Name, "Remote-")+"="+f.Value)
		}
	}
	return strings.Join(lines, "; ")
}

func TestFields(t *testing.T) {
	t.Parallel()
	const all = "User=anna; Email=anna@example.test; Name=Änne Müller; Groups=Entwickler süd,staff; Id=7f1c"
	person := func(change func(*identity.Person)) []func(*identity.Person) {
		return []func(*identity.Person){change}
	}
	for name, test := range map[string]struct {
		headers func(*Headers)
		person  []func(*identity.Person)
		want    string
		logged  string // "": nothing
	}{
		"all":              {want: all},
		"by address":       {headers: func(h *Headers) { h.UserIs = UserIsEmail }, want: strings.Replace(all, "=anna", "=anna@example.test", 1)},
		"by id":            {headers: func(h *Headers) { h.UserIs = UserIsID }, want: strings.Replace(all, "=anna", "=7f1c", 1)},
		"fewer names":      {headers: func(h *Headers) { h.Email, h.Groups, h.ID, h.Assertion = "", "", "", "" }, want: "User=anna; Name=Änne Müller"},
		"other spelling":   {person: person(func(p *identity.Person) { p.Login = "ANNA" }), want: strings.Replace(all, "=anna;", "=ANNA;", 1)},
		"umlauts in login": {person: person(func(p *identity.Person) { p.Login = "ännchen müller" }), want: strings.Replace(all, "=anna;", "=ännchen müller;", 1)},
		// Absent, never empty.
		"no address": {person: person(func(p *identity.Person) { p.Addresses = nil }), want: strings.Replace(all, "Email=anna@example.test; ", "", 1)},
		"no name":    {person: person(func(p *identity.Person) { p.Name = "" }), want: strings.Replace(all, "Name=Änne Müller; ", "", 1)},
		"no groups":  {person: person(func(p *identity.Person) { p.Groups = nil }), want: strings.Replace(all, "Groups=Entwickler süd,staff; ", "", 1)},
		// Strangers, where the person cannot be named.
		"no login":                 {person: person(func(p *identity.Person) { p.Login = "" }), logged: `"field":"login"`},
		"no address to name":       {headers: func(h *Headers) { h.UserIs = UserIsEmail }, person: person(func(p *identity.Person) { p.Addresses = nil }), logged: `"field":"email"`},
		"login with newline":       {person: person(func(p *identity.Person) { p.Login = "anna\nRemote-Groups: admins" }), logged: `"field":"login"`},
		"login with return":        {person: person(func(p *identity.Person) { p.Login = "anna\r" }), logged: `"field":"login"`},
		"login with NUL":           {person: person(func(p *identity.Person) { p.Login = "anna\x00" }), logged: `"field":"login"`},
		"login with DEL":           {person: person(func(p *identity.Person) { p.Login = "an\x7fna" }), logged: `"field":"login"`},
		"login with a C1 control":  {person: person(func(p *identity.Person) { p.Login = "an\u0085na" }), logged: `"field":"login"`},
		"login with a blank after": {person: person(func(p *identity.Person) { p.Login = "anna " }), logged: `"field":"login"`},
		"login with a tab before":  {person: person(func(p *identity.Person) { p.Login = "\tanna" }), logged: `"field":"login"`},
		"login not UTF-8":          {person: person(func(p *identity.Person) { p.Login = "\xe4nne" }), logged: `"field":"login"`},
		"login too long":           {person: person(func(p *identity.Person) { p.Login = strings.Repeat("a", 1025) }), logged: `"field":"login"`},
		"id with newline":          {person: person(func(p *identity.Person) { p.ID = "7f\n1c" }), logged: `"field":"id"`},
		"id not sent":              {headers: func(h *Headers) { h.ID = "" }, person: person(func(p *identity.Person) { p.ID = "7f\n1c" }), want: strings.TrimSuffix(all, "; Id=7f1c")},
		"login not sent": {
			headers: func(h *Headers) { h.User = "" }, person: person(func(p *identity.Person) { p.Login = "an\nna" }),
			want: strings.TrimPrefix(all, "User=anna; "),
		},
		// A name is only for display.
		"name with newline": {person: person(func(p *identity.Person) { p.Name = "Anna\nX: y" }), want: strings.Replace(all, "Name=Änne Müller; ", "", 1), logged: `"field":"name"`},
		"name too long":     {person: person(func(p *identity.Person) { p.Name = strings.Repeat("a", 1025) }), want: strings.Replace(all, "Name=Änne Müller; ", "", 1), logged: `"field":"name"`},
		"name percent":      {headers: func(h *Headers) { h.NameEncoding = NamePercent }, want: strings.Replace(all, "Änne Müller", "%C3%84nne%20M%C3%BCller", 1)},
		"name omitted":      {headers: func(h *Headers) { h.NameEncoding = NameOmit }, want: strings.Replace(all, "Name=Änne Müller; ", "", 1)},
		"ASCII not omitted": {
			headers: func(h *Headers) { h.NameEncoding = NameOmit }, person: person(func(p *identity.Person) { p.Name = "Anna" }),
			want: strings.Replace(all, "Änne Müller", "Anna", 1),
		},
		"quoted-printable": {
			headers: func(h *Headers) { h.NameEncoding = NameQuotedPrintable }, person: person(func(p *identity.Person) { p.Login = "a=b" }),
			want: "User=a=3Db; Email=anna@example.test; Name=" + "=C3=84nne M=C3=BCller" + "; Groups=" + "Entwickler s=C3=BCd,staff" + "; Id=7f1c",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTelling(t)
			where := site()
			if test.headers != nil {
				test.headers(where.Headers)
			}
			fields := w.fields(where, anna(test.person...))
			if got := told(fields); got != test.want {
				t.Errorf("told %q, want %q", got, test.want)
			}
			if test.want == "" && fields != nil {
				t.Errorf("%d fields for a stranger", len(fields))
			}
			for _, f := range fields {
				if f.Value == "" || !httpguts.ValidHeaderFieldValue(f.Value) {
					t.Errorf("%s is %q", f.Name, f.Value)
				}
			}
			if logged := w.log.String(); (logged == "") != (test.logged == "") || !strings.Contains(logged, test.logged) || strings.Contains(logged, "admins") {
				t.Errorf("logged %s, want %s", logged, test.logged)
			}
		})
	}
	w := newTelling(t)
	if fields := w.fields(&Site{Host: "example.test"}, anna()); fields != nil {
		t.Errorf("a website without identity fields is told %v", fields)
	}
	if fields := w.fields(site(), nil); fields != nil {
		t.Errorf("told %v of no one", fields)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		groups    []string
		separator string
		send      []string
		want      string
		warnings  int
	}{
		"separator":           {[]string{"Staff, admins", "wiki"}, ",", nil, "wiki", 1},
		"other separator":     {[]string{"Staff, admins", "a|b"}, "|", nil, "Staff, admins", 1},
		"blank":               {[]string{"Domain Admins", "no\u00a0break", "tab\tbed", "wiki", "staff"}, " ", nil, "wiki staff", 3},
		"white space around":  {[]string{" admins", "admins ", "\u00a0admins", "wiki"}, ",", nil, "wiki", 3},
		"controls":            {[]string{"a\nadmins", "b\radmins", "c\x00", "d\x7f", "e\u0085", "f\xff", "", "wiki"}, ",", nil, "wiki", 7},
		"quotation marks":     {[]string{`"admins"`, `["admins"]`, "wiki"}, ",", nil, "wiki", 2},
		"none that is fit":    {[]string{"a,b"}, ",", nil, "", 1},
		"umlauts":             {[]string{"Müll, groß", "Zoë"}, "|", nil, "Müll, groß|Zoë", 0},
		"selected":            {[]string{"Editors", "staff", "WIKI-a", "wiki-b", "wiki"}, ",", []string{"editors", "wiki-*"}, "Editors,WIKI-a,wiki-b", 0},
		"none selected":       {[]string{"staff"}, ",", []string{"editors"}, "", 0},
		"all selected":        {[]string{"a", "b"}, ",", []string{"*"}, "a,b", 0},
		"a star in a name":    {[]string{"a*b", "axb"}, ",", []string{"a*b"}, "a*b", 0},
		"no warning if not":   {[]string{"a,b", "wiki"}, ",", []string{"wiki"}, "wiki", 0},
		"one warning for one": {[]string{"a,b", "a,b", "wiki"}, ",", nil, "wiki", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTelling(t)
			where := site(func(h *Headers) {
				h.GroupSeparator, h.SendGroups, h.User, h.Email, h.Name, h.ID, h.Assertion = test.separator, test.send, "", "", "", "", ""
			})
			fields := w.fields(where, anna(func(p *identity.Person) { p.Groups = test.groups }))
			want := []Field{{"Remote-Groups", test.want}}
			if test.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if got := strings.Count(w.log.String(), "\n"); got != test.warnings {
				t.Errorf("%d warnings, want %d: %s", got, test.warnings, w.log.String())
			}
		})
	}
}

// TestManyGroups: the field stays below 4 KiB, and the assertion has what it leaves out.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	w := newTelling(t)
	many := anna(func(p *identity.Person) {
		p.Groups = nil
		for i := range 275 {
			p.Groups = append(p.Groups, fmt.Sprintf("group-%03d-süd", i))
		}
		p.Groups = append(p.Groups, "x") // would fit where the one before does not
	})
	fields := w.fields(site(), many)
	groups := fields[3].Value
	if n := strings.Count(groups, ",") + 1; len(groups) > 4<<10 || len(groups) < 4000 || n != 4097/len(",group-000-süd") || !strings.HasPrefix(groups, "group-000-süd,group-001-süd") {
		t.Errorf("%d bytes, %d groups: %.80s", len(groups), n, groups)
	}
	if log := w.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"left_out":3,`) || !strings.Contains(log, "send_groups") {
		t.Errorf("logged %s", log)
	}
	parsed, err := jwt.ParseSigned(fields[len(fields)-1].Value, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Groups []string `json:"groups"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(many.Person.Groups, claims.Groups); diff != "" {
		t.Errorf("the assertion has other groups:\n%s", diff)
	}
	many.Person.Groups = append(many.Person.Groups, strings.Repeat("x", 8000))
	if w.fields(site(), many); !strings.Contains(w.log.String(), `"field":"assertion"`) {
		t.Errorf("logged %s", w.log.String())
	}
}

// TestEncodings: what readers decode is the name.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Anna", "Änne Müller", "100% = \"all\"?", "a+b/c", "名前", strings.Repeat("ä ", 60) + "x", "=?UTF-8?Q?x?="} {
		if got, err := url.PathUnescape(NamePercent.write(name, true)); err != nil || got != name {
			t.Errorf("percent: %q, %v", got, err)
		}
		written := NameQuotedPrintable.write(name, true)
		if got, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(written))); err != nil || string(got) != name {
			t.Errorf("quoted-printable: %q from %q, %v", got, written, err)
		}
	}
}

func TestWithoutKey(t *testing.T) {
	t.Parallel()
	w := newTelling(t)
	full := w.Ring
	w.Ring = keys.New(keys.Config{Store: idptest.NewStore(time.Now), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	where := site()
	for range 3 {
		if fields := w.fields(where, anna()); len(fields) != 5 {
			t.Errorf("%d fields", len(fields))
		}
	}
	if log := w.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "the assertion is left out") {
		t.Errorf("logged %s", log)
	}
	w.Ring = full
	if fields := w.fields(where, anna()); len(fields) != 6 {
		t.Errorf("%d fields with a key", len(fields))
	}
}

// TestWarningsAreBounded: what is wrong is logged again after an hour, and not without end.
func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	w := newTelling(t)
	where := site(func(h *Headers) { h.Assertion = "" })
	for i := range 3000 {
		w.fields(where, anna(func(p *identity.Person) { p.Groups = []string{fmt.Sprintf("a,%d", i)} }))
	}
	if n := strings.Count(w.log.String(), "\n"); n != 1000 {
		t.Errorf("%d warnings", n)
	}
	w.log.Reset()
	w.clock.Advance(time.Hour)
	w.fields(where, anna(func(p *identity.Person) { p.Groups = []string{"a,1"} }))
	if n := strings.Count(w.log.String(), "\n"); n != 1 {
		t.Errorf("%d warnings an hour later", n)
	}
}

func BenchmarkFields(b *testing.B) {
	w := newTelling(b)
	where := site()
	s := anna(func(p *identity.Person) {
		for i := range 20 {
			p.Groups = append(p.Groups, fmt.Sprintf("group-%d", i))
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if len(w.fields(where, s)) != 6 {
			b.Fatal("fields are missing")
		}
	}
}
