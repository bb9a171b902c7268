package browserid_test

import (
	"testing"

	"persona-sidecar/idp/browserid"
)

func TestParseAudience(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"https://rp.example", "https://rp.example"},
		{"https://rp.example:443", "https://rp.example"},
		{"http://rp.example:80", "http://rp.example"},
		{"https://rp.example:80", "https://rp.example:80"},
		{"http://rp.example:443", "http://rp.example:443"},
		{"HTTPS://RP.Example:8443", "https://rp.example:8443"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"http://my_app.intranet", "http://my_app.intranet"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"https://[2001:DB8::1]", "https://[2001:db8::1]"},
	}
	for _, test := range tests {
		if got, err := browserid.ParseAudience(test.in); err != nil || got != test.want {
			t.Errorf("%s became %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestParseAudienceRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"empty", "", "scheme is missing"},
		{"bare host", "rp.example", "scheme is missing"},
		{"host and port", "rp.example:443", "scheme is missing"},
		{"no scheme", "//rp.example", "scheme is missing"},
		{"empty scheme", "://rp.example", "neither http nor https"},
		{"other scheme", "ftp://rp.example", "neither http nor https"},
		{"app scheme of Firefox OS", "app://rp.example", "neither http nor https"},
		{"script", "javascript://rp.example", "neither http nor https"},
		{"path", "https://rp.example/login", "non-empty path"},
		{"slash", "https://rp.example/", "non-empty path"},
		{"query", "https://rp.example?x", `character "?"`},
		{"fragment", "https://rp.example#x", `character "#"`},
		{"user", "https://alice@rp.example", `character "@"`},
		{"user and password", "https://rp.example:x@evil.example", "not a port"},
		{"no host", "https://", "no host name"},
		{"port alone", "https://:443", "no host name"},
		{"empty port", "https://rp.example:", "not a port"},
		{"bad port", "https://rp.example:99999", "not a port"},
		{"two ports", "https://rp.example:1:2", "not a port"},
		{"final dot", "https://rp.example.", "empty label"},
		{"newline", "https://rp.example\n", `character "\n"`},
		{"space", " https://rp.example", "neither http nor https"},
		{"backslash", `https://rp.example\x`, "character"},
		{"quote", `https://rp".example`, "character"},
		{"not ASCII", "https://rpé.example", "xn--"},
		{"IPv4 with zeros", "https://127.0.0.01", "IP address"},
		{"IPv4 with three parts", "https://127.0.1", "IP address"},
		{"IPv6 not canonical", "https://[0:0:0:0:0:0:0:1]", "IPv6"},
		{"IPv6 without end", "https://[::1", "IPv6"},
		{"IPv6 with text behind", "https://[::1]x", "IPv6"},
		{"IPv6 zone", `https://[fe80::1%"x]`, "IPv6"},
		{"IPv4 in brackets", "https://[127.0.0.1]", "IPv6"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.ParseAudience(test.in)
			wantError(t, err, test.want)
		})
	}
}
