package browserid_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
)

func TestParseAuthority(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"example.com", "id.example.com", "localhost", "example.com:8443", "xn--bcher-kva.example", "a-b.example:1",
		"example.com:65535", "10.example",
	} {
		if got, err := browserid.ParseAuthority(s); err != nil || got != s {
			t.Errorf("%s became %q, %v", s, got, err)
		}
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", "no host name"},
		{"port alone", ":8443", "no host name"},
		{"upper case", "Example.com", "lower case"},
		{"scheme", "https://example.com", "not a port"},
		{"path", "example.com/persona", `character "/"`},
		{"path after the port", "example.com:8443/x", "not a port"},
		{"user", "alice@example.com", `character "@"`},
		{"query", "example.com?x", `character "?"`},
		{"fragment", "example.com#x", `character "#"`},
		{"space", "example.com ", `character " "`},
		{"newline", "example.com\n", `character "\n"`},
		{"final dot", "example.com.", "empty label"},
		{"no port after the colon", "example.com:", "not a port"},
		{"port 0", "example.com:0", "not a port"},
		{"port with a zero in front", "example.com:08443", "not a port"},
		{"port too high", "example.com:65536", "not a port"},
		{"port with a sign", "example.com:+1", "not a port"},
		{"two ports", "example.com:1:2", "not a port"},
		{"the usual port", "example.com:443", "without :443"},
		{"IPv4", "127.0.0.1", "IP address"},
		{"IPv4 and port", "127.0.0.1:8443", "IP address"},
		{"IPv4 as one number", "2130706433", "IP address"},
		{"IPv6", "[::1]", "not host"},
		{"percent", "ex%61mple.com", `character "%"`},
		{"long", strings.Repeat("a.", 127) + "a", "longer than 253"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.ParseAuthority(test.in)
			wantError(t, err, test.want)
		})
	}
}
