package mailbox_test

import (
	"slices"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/mailbox"
)

func TestParse(t *testing.T) {
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
		address, ok := mailbox.Parse(in)
		if got := address.String(); got != want || ok != (want != "") {
			t.Errorf("%q became %q, %t, want %q", in, got, ok, want)
		}
	}
}

// Every value that does not count has a reason, and is found by no search for another one.
func TestRead(t *testing.T) {
	t.Parallel()
	reader := mailbox.NewReader([]string{"mail", "proxyAddresses"}, []string{"example.test", "bücher.example"}, false)
	for _, test := range []struct {
		attribute, written, address string
		reason                      mailbox.Reason
	}{
		{"mail", "Alice@Example.TEST", "alice@example.test", ""},
		{"mail", "smtp:alice@example.test", "alice@example.test", ""},
		{"mail", "alice+tag@example.test", "alice+tag@example.test", ""},
		{"proxyAddresses", "smtp:x@bücher.example", "x@xn--bcher-kva.example", ""},
		{"mail", "alice@elsewhere.test", "alice@elsewhere.test", mailbox.OtherDomain},
		{"mail", "alice@sub.example.test", "alice@sub.example.test", mailbox.OtherDomain},
		{"mail", "alice@example.test ", "", mailbox.OuterSpace},
		{"mail", "\talice@example.test", "", mailbox.OuterSpace},
		{"mail", "alice@example.test\u00a0", "", mailbox.OuterSpace},
		{"mail", "\u200balice@example.test", "", mailbox.OuterSpace},
		{"proxyAddresses", "smtp: alice@example.test", "", mailbox.OuterSpace},
		{"mail", "mailto:alice@example.test", "", mailbox.Mailto},
		{"mail", "alice@example.test;b@example.test", "", mailbox.Several},
		{"mail", "alice@example.test, b@example.test", "", mailbox.Several},
		{"mail", "Alice Adams <alice@example.test>", "", mailbox.DisplayName},
		{"mail", `"Adams, Alice" <alice@example.test>`, "", mailbox.DisplayName},
		{"mail", `"alice"@example.test`, "", mailbox.Quoted},
		{"mail", "jürgen@example.test", "", mailbox.NotASCII},
		{"mail", "x500:/o=Example/cn=alice", "", mailbox.OtherPrefix},
		{"proxyAddresses", "sip:alice@example.test", "", mailbox.OtherPrefix},
		{"proxyAddresses", "X400:c=de;a= ;p=Example;s=Adams;", "", mailbox.OtherPrefix},
		{"proxyAddresses", "alice@example.test", "", mailbox.NoPrefix},
		{"mail", "alice", "", mailbox.Malformed},
		{"mail", "", "", mailbox.Malformed},
		{"mail", "@", "", mailbox.Malformed},
		{"mail", "alice@@example.test", "", mailbox.Malformed},
		{"mail", "alice@example.test.", "", mailbox.Malformed},
		{"mail", "al ice@example.test", "", mailbox.Malformed},
	} {
		report := reader.Read(func(attribute string) []string {
			if attribute != test.attribute {
				return nil
			}
			return []string{test.written}
		})
		if len(report) != 1 || report[0].Address.String() != test.address || report[0].Reason != test.reason {
			t.Errorf("%s %q: %+v, want %q, %q", test.attribute, test.written, report, test.address, test.reason)
		}
	}
}

func TestReadSeveral(t *testing.T) {
	t.Parallel()
	values := map[string][]string{
		"mail":           {"a@example.test"},
		"proxyAddresses": {"smtp:b@example.test", "SMTP:c@example.test", "smtp:A@example.test"},
	}
	read := func(selfService bool) mailbox.Report {
		return mailbox.NewReader([]string{"mail", "proxyAddresses"}, []string{"example.test"}, selfService).
			Read(func(attribute string) []string { return values[attribute] })
	}
	report := read(false)
	var got []string
	for _, address := range report.Addresses() {
		got = append(got, address.String())
	}
	if want := []string{"a@example.test", "c@example.test", "b@example.test"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if last := report[len(report)-1]; last.Written != "smtp:A@example.test" || last.Reason != mailbox.Repeated {
		t.Errorf("the second spelling: %+v", last)
	}
	report.Drop(report.Addresses()[1], mailbox.Contested, []string{"cn=c"})
	if contested := report.Contested(); len(contested) != 1 || contested[0].String() != "c@example.test" || len(report.Addresses()) != 2 {
		t.Errorf("contested: %v of %+v", contested, report)
	}
	if got := read(true).Addresses(); got != nil {
		t.Errorf("addresses that people write themselves: %v", got)
	}
	values["mail"] = nil
	for i := range 205 {
		values["mail"] = append(values["mail"], "n"+strings.Repeat("x", i/26)+string(rune('a'+i%26))+"@example.test")
	}
	if report := read(false); len(report.Addresses()) != 200 || report[204].Reason != mailbox.TooMany {
		t.Errorf("%d addresses, then %+v", len(report.Addresses()), report[204])
	}
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	reader := mailbox.NewReader([]string{"mail", "proxyAddresses"}, []string{"bücher.example"}, false)
	address, _ := mailbox.Parse("Ann@bücher.example")
	want := []mailbox.Spelling{
		{Attribute: "mail", Value: "ann@xn--bcher-kva.example"},
		{Attribute: "mail", Value: "smtp:ann@xn--bcher-kva.example"},
		{Attribute: "mail", Value: "ann@bücher.example"},
		{Attribute: "mail", Value: "smtp:ann@bücher.example"},
		{Attribute: "proxyAddresses", Value: "smtp:ann@xn--bcher-kva.example"},
		{Attribute: "proxyAddresses", Value: "smtp:ann@bücher.example"},
	}
	if got := reader.Spellings(address, nil); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := reader.Spellings(address, []string{"mail"}); !slices.Equal(got, want[4:]) {
		t.Errorf("without mail: %q", got)
	}
}

// The canonical form is a fixed point, and ASCII that no page or filter can
// stumble over.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"alice@example.test", "x@bücher.example", "A@B", "\u212a@\u212a.test", "x@xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, ok := mailbox.Parse(s)
		if !ok {
			return
		}
		canonical := address.String()
		if len(canonical) > 254 || strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }) {
			t.Errorf("%q became %q", s, canonical)
		}
		if again, ok := mailbox.Parse(canonical); !ok || again != address {
			t.Errorf("%q became %q, which became %q, %t", s, canonical, again, ok)
		}
	})
}
