package ldapauth

import (
	"strings"
	"testing"
)

func TestCanonicalAddress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"alice@example.test":              "alice@example.test",
		"Alice.ADAMS+x@Example.TEST":      "alice.adams+x@example.test",
		"o'hara@example.test":             "o'hara@example.test",
		"x@bücher.example":                "x@xn--bcher-kva.example",
		"x@XN--BCHER-KVA.example":         "x@xn--bcher-kva.example",
		long + "@example.test":            long + "@example.test",
		long + "a@example.test":           "",
		"a@" + strings.Repeat("b.", 130):  "",
		"":                                "",
		"@":                               "",
		"alice":                           "",
		"@example.test":                   "",
		"alice@":                          "",
		"a@b@example.test":                "",
		" alice@example.test":             "",
		"alice@example.test ":             "",
		"alice @example.test":             "",
		"alice@example.test.":             "",
		"\"alice\"@example.test":          "",
		"al\x00ice@example.test":          "",
		"alice\u200b@example.test":        "",
		"alice@exa\u200bmple.test":        "",
		"alice@exa\u00admple.test":        "",
		"jürgen@example.test":             "",
		"x@ｅxample.test":                  "",
		"x@\u212aelvin.test":              "",
		"x@BÜCHER.example":                "",
		"x@exa_mple.test":                 "",
		"x@exa mple.test":                 "",
		"x@[127.0.0.1]":                   "",
		"x@-example.test":                 "",
		"\xff@example.test":               "",
		"x@\xff.test":                     "",
		"mailto:alice@example.test":       "",
		"alice@example.test, b@evil.test": "",
		"<alice@example.test>":            "",
		"smtp:alice@example.test":         "",
		"alice@example.test\r\nBcc: evil": "",
	} {
		address, ok := canonicalAddress(in)
		if got := address.String(); got != want || ok != (want != "") {
			t.Errorf("%q became %q, %t, want %q", in, got, ok, want)
		}
	}
}

// The canonical form is a fixed point, and ASCII that no page or filter can
// stumble over.
func FuzzCanonicalAddress(f *testing.F) {
	for _, s := range []string{"alice@example.test", "x@bücher.example", "A@B", "\u212a@\u212a.test", "x@xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, ok := canonicalAddress(s)
		if !ok {
			return
		}
		canonical := address.String()
		if len(canonical) > maxWritten || strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }) {
			t.Errorf("%q became %q", s, canonical)
		}
		if again, ok := canonicalAddress(canonical); !ok || again != address {
			t.Errorf("%q became %q, which became %q, %t", s, canonical, again, ok)
		}
	})
}
