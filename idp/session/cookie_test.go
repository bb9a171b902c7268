package session_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/session"
)

func TestBadCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	_, second := w.signIn(t, session.Private)
	_, foreign := newWorld(t).signIn(t, session.Private) // another key ring
	good, name := c.Value, session.CookieName+"="
	for what, lines := range map[string][]string{
		"no header":                      nil,
		"an empty header":                {""},
		"only others":                    {"a=b; __Host-personal=" + good},
		"another case":                   {"__host-persona=" + good},
		"another prefix":                 {"__Secure-persona=" + good},
		"without a value":                {session.CookieName},
		"empty":                          {name},
		"quoted":                         {name + `"` + good + `"`},
		"padded":                         {name + good + "=="},
		"standard base64":                {name + "+/+/" + good},
		"not base64":                     {name + "not base64!"},
		"with line breaks":               {name + good[:20] + "\r\n" + good[20:]},
		"with a blank":                   {name + good[:20] + " " + good[20:]},
		"binary":                         {name + "\x00\xff\x01"},
		"huge":                           {name + strings.Repeat("A", 1<<20)},
		"huge, with a good beginning":    {name + good + strings.Repeat("A", 4096)},
		"truncated by one":               {name + good[:len(good)-1]},
		"truncated to half":              {name + good[:len(good)/2]},
		"one longer":                     {name + good + "A"},
		"four longer":                    {name + good + "AAAA"},
		"of another key ring":            {name + foreign.Value},
		"two":                            {name + good + "; " + name + second.Value},
		"two, the same":                  {name + good + "; " + name + good},
		"two, in two lines":              {name + good, name + second.Value},
		"two, the first malformed":       {name + "\x01; " + name + good},
		"two, the second malformed":      {name + good + "; " + name + `"`},
		"two, one empty":                 {name + good + ";" + name},
		"two, one without a value":       {session.CookieName + "; " + name + good},
		"two, around another":            {name + good + "; a=b", "c=d; " + name + good},
		"two, one set without its name":  {name + good + "; =" + name + "x; " + name},
		"a value with another behind it": {name + good + "," + name + good},
	} {
		s, err := w.Read(t.Context(), request(lines...), binding())
		if !errors.Is(err, session.ErrNone) || s != (session.Session{}) {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
		if len(err.Error()) > 200 || strings.Contains(err.Error(), good[:20]) {
			t.Errorf("%s: the error tells the cookie: %v", what, err)
		}
	}
	for what, lines := range map[string][]string{
		"alone":              {name + good},
		"among others":       {"a=b; " + name + good + "; c=d"},
		"without blanks":     {"a=b;" + name + good + ";c=d"},
		"in the second line": {"a=b", name + good},
		"blanks around":      {"  " + name + good + " \t"},
	} {
		if _, err := w.Read(t.Context(), request(lines...), binding()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for bit := range 8 {
			sealed[i] ^= 1 << bit
			bad := &http.Cookie{Name: c.Name, Value: base64.RawURLEncoding.EncodeToString(sealed)}
			w.expectNone(t, bad, "")
			sealed[i] ^= 1 << bit
		}
	}
	// Letters that differ only in bits that base64 drops name the same bytes.
	last := c.Value[len(c.Value)-1]
	for _, other := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		if other != last {
			w.expectNone(t, &http.Cookie{Name: c.Name, Value: c.Value[:len(c.Value)-1] + string(other)}, "")
		}
	}
	w.expectSignedIn(t, c)
}

func TestCookieIsBoundToHostAndDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	for _, b := range []session.Binding{
		{Host: "other.test", Directory: "corp"},
		{Host: "example.test", Directory: "other"},
		{Host: "example.testc", Directory: "orp"},
		{Host: "example.tes", Directory: "tcorp"},
		{Host: "corp", Directory: "example.test"},
		{Host: "Example.test", Directory: "corp"},
	} {
		if s, err := w.Read(t.Context(), request(c.Name+"="+c.Value), b); !errors.Is(err, session.ErrNone) || s != (session.Session{}) {
			t.Errorf("%+v: %+v, %v", b, s, err)
		}
	}
	for _, b := range []session.Binding{{}, {Host: "example.test"}, {Directory: "corp"}} {
		if s, err := w.Read(t.Context(), request(c.Name+"="+c.Value), b); err == nil || s != (session.Session{}) {
			t.Errorf("%+v: %+v, %v", b, s, err)
		}
	}
}

func TestSealedForAnotherPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	// What another part of the program would seal under the same key.
	for _, associated := range []string{"", "persona transaction", "persona session", "example.test"} {
		other, err := w.config.Sealer.Seal(sealed, []byte(associated))
		if err != nil {
			t.Fatal(err)
		}
		w.expectNone(t, &http.Cookie{Name: c.Name, Value: base64.RawURLEncoding.EncodeToString(other)}, "not sealed here")
	}
}

// FuzzRead opens foreign cookies: none is a session, and none makes it fail otherwise.
func FuzzRead(f *testing.F) {
	w := newWorld(f)
	_, c := w.signIn(f, session.Private)
	w.pass(time.Second)
	for _, seed := range []string{"", c.Name, c.Name + "=", c.Name + "=" + c.Value, c.Name + "=AQID", "a=b; " + c.Name + "=" + c.Value[:40], c.Name + "=" + c.Value + "; " + c.Name + "=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		s, err := w.Read(t.Context(), request(header), binding())
		if err == nil && !strings.Contains(header, c.Value) {
			t.Fatalf("%q is the session %+v", header, s)
		}
		if err != nil && (!errors.Is(err, session.ErrNone) || s != (session.Session{})) {
			t.Fatalf("%q: %+v, %v", header, s, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	w := newWorld(b)
	_, c := w.signIn(b, session.Private)
	r := request("a=b; " + c.Name + "=" + c.Value)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Read(b.Context(), r, binding()); err != nil {
			b.Fatal(err)
		}
	}
}
