package middleware_test

import (
	"strings"
	"testing"

	"persona-sidecar/proxy/middleware"
)

func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5)
	for host, want := range map[string]string{
		"example.com":                 "example.com",
		"Example.COM":                 "example.com",
		"example.com.":                "example.com",
		"EXAMPLE.com.:443":            "example.com",
		"example.com:8443":            "example.com",
		"example.com:":                "example.com",
		"localhost":                   "localhost",
		"in_house.example":            "in_house.example",
		"a--b.example":                "a--b.example",
		"bücher.example":              "xn--bcher-kva.example",
		"BÜCHER.example:80":           "xn--bcher-kva.example",
		"XN--bcher-KVA.example":       "xn--bcher-kva.example",
		"straße.example":              "xn--strae-oqa.example",
		"ｅｘａｍｐｌｅ。com":                 "example.com",
		"127.0.0.1":                   "127.0.0.1",
		"127.0.0.1:80":                "127.0.0.1",
		"[::1]":                       "::1",
		"[::1]:443":                   "::1",
		"::1":                         "::1",
		"[2001:DB8:0:0:0:0:0:1]:80":   "2001:db8::1",
		strings.TrimSuffix(long, "."): strings.TrimSuffix(long, "."),

		"":                      "",
		".":                     "",
		":443":                  "",
		"example.com..":         "",
		".example.com":          "",
		"a..b":                  "",
		"example.com:http":      "",
		"example.com:-1":        "",
		"example.com:99999999":  "",
		"example.com:65536":     "",
		"example.com:0":         "",
		"example.com:80:80":     "",
		"exa mple.com":          "",
		"example.com/path":      "",
		"user@example.com":      "",
		"example.com\x00":       "",
		"example%2ecom":         "",
		"*.example.com":         "",
		"xn--\xff.example":      "",
		"xn--zzzzzzzzz.example": "",
		"\xff.example":          "",
		"[::1":                  "",
		"[::1]x":                "",
		"[::1]:x":               "",
		"[::1%25eth0]":          "",
		"[example.com]":         "",
		long + long:             "",
		strings.Repeat("a", 64): "",
	} {
		if got := middleware.CanonicalHost(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, host := range []string{"example.com", "BÜCHER.example.:80", "[::1]:443", "xn--bcher-kva.example", "::ffff:1.2.3.4"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		got := middleware.CanonicalHost(host)
		if again := middleware.CanonicalHost(got); again != got {
			t.Errorf("%q → %q → %q", host, got, again)
		}
	})
}

func BenchmarkCanonicalHost(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		middleware.CanonicalHost("www.example.com:8443")
	}
}
