package browserid_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	local64 := strings.Repeat("l", 64)
	tests := []struct{ in, local, domain string }{
		{"alice@example.com", "alice", "example.com"},
		{"Alice@EXAMPLE.com", "alice", "example.com"},
		{"a.b+tag@sub.example.com", "a.b+tag", "sub.example.com"},
		{"a!#$%&'*+/=?^_`{|}~.-z@x.example", "a!#$%&'*+/=?^_`{|}~.-z", "x.example"},
		{"x@localhost", "x", "localhost"},
		{"x@xn--bcher-kva.example", "x", "xn--bcher-kva.example"},
		{"x@3com.example", "x", "3com.example"},
		{local64 + "@example.com", local64, "example.com"},
	}
	for _, test := range tests {
		a, err := browserid.ParseAddress(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if a.Local() != test.local || a.Domain() != test.domain || a.String() != test.local+"@"+test.domain {
			t.Errorf("%s became %q, %q, %q", test.in, a.String(), a.Local(), a.Domain())
		}
	}
}

func TestAddressIsComparable(t *testing.T) {
	t.Parallel()
	if address(t, "ALICE@example.com") != address(t, "alice@EXAMPLE.COM") {
		t.Error("two spellings of one address differ")
	}
	var none browserid.Address
	if none.String() != "" || none.Local() != "" || none.Domain() != "" {
		t.Errorf("the zero address is %q", none)
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", "no @"},
		{"no at", "alice.example.com", "no @"},
		{"no local part", "@example.com", "1 to 64"},
		{"no domain", "alice@", "no host name"},
		{"two at", "alice@evil.example@example.com", `character "@"`},
		{"two at together", "alice@@example.com", `character "@"`},
		{"newline at the end", "alice@example.com\n", `character "\n"`},
		{"newline in front", "\nalice@example.com", `character "\n"`},
		{"second address on a second line", "alice@example.com\nbob@example.com", `character "\n"`},
		{"carriage return", "alice@example.com\r", `character "\r"`},
		{"NUL", "alice\x00@example.com", `character "\x00"`},
		{"NUL in the domain", "alice@example.com\x00.evil.example", `character "\x00"`},
		{"DEL", "alice\x7f@example.com", `character "\x7f"`},
		{"space", "alice @example.com", `character " "`},
		{"tab", "alice@example.com\t", `character "\t"`},
		{"quoted local part", `"alice"@example.com`, "character"},
		{"backslash", `al\ice@example.com`, "character"},
		{"comment", "alice(x)@example.com", `character "("`},
		{"angle brackets", "<alice@example.com>", `character "<"`},
		{"list", "alice@example.com,bob@example.com", `character ","`},
		{"not ASCII", "älice@example.com", "character"},
		{"Kelvin sign folds to k in other hands", "\u212a@example.com", "character"},
		{"not ASCII domain", "alice@exämple.com", "xn--"},
		{"full width at", "alice\uff20example.com", "no @"},
		{"not UTF-8", "al\xffice@example.com", "character"},
		{"final dot", "alice@example.com.", "empty label"},
		{"first dot", "alice@.example.com", "empty label"},
		{"two dots", "alice@example..com", "empty label"},
		{"port", "alice@example.com:8443", `character ":"`},
		{"IPv4", "alice@127.0.0.1", "IP address"},
		{"IPv4 in hexadecimal", "alice@0x7f000001", "IP address"},
		{"literal", "alice@[127.0.0.1]", `character "["`},
		{"path", "alice@example.com/x", `character "/"`},
		{"underscore in the domain", "alice@ex_ample.com", `character "_"`},
		{"hyphen first", "alice@-example.com", "hyphen"},
		{"hyphen last", "alice@example-.com", "hyphen"},
		{"local part of 65", strings.Repeat("l", 65) + "@example.com", "1 to 64"},
		{"label of 64", "a@" + strings.Repeat("d", 64) + ".com", "longer than 63"},
		{"255 in all", "a@" + strings.Repeat("d.", 126) + "e", "longer than 254"},
		{"a megabyte", strings.Repeat("a", 1<<20), "longer than 254"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := browserid.ParseAddress(test.in)
			wantError(t, err, test.want)
			if a != (browserid.Address{}) {
				t.Errorf("an address came with the error: %v", a)
			}
			if len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("the error carries foreign text: %.700q", err)
			}
		})
	}
}
