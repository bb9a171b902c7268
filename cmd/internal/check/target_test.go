package check_test

import (
	"testing"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com.": "example.com", "münchen.example": "xn--mnchen-3ya.example",
		"example.com:443": "example.com", "example.com:8443": "example.com:8443", "localhost": "localhost",
		"Alice@Example.com": "alice@example.com",
	} {
		got, err := check.ParseTarget(text)
		if err != nil || got.Domain+got.Address.String() != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "https://example.com", "example.com/", "a b", "alice@", "@example.com", "a@b@c", "192.0.2.1", "example.com:x", "-a.example", "a..b"} {
		if got, err := check.ParseTarget(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

// TestResolve: our names are found where -resolve says, and no others.
func TestResolve(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	server := newServer(t, newProvider(t))
	server.TLS = world.authority.TLS(t, "example.org")
	server.StartTLS()
	var err error
	if world.resolve, err = network.ParseResolve(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	seen := look(t, world.checker(nil).Domain("example.org")) // DNS knows no such name
	seen.expect(t, want{"DNS", report.Skipped, "as -resolve says", ""})
	seen.expect(t, want{"support document", report.OK, "200", ""})
	seen.nothingElse(t)

	world.place("id.example.org")
	p := &provider{answers: newProvider(t).answers}
	p.answers["/.well-known/browserid"] = published(`{"authority":"id.example.org"}`)
	server.Config.Handler = p
	seen = look(t, world.checker(nil).Domain("example.org"))
	seen.expect(t, want{"authority", report.Failed, "example.org → id.example.org: the connection is refused", ""})
}

// TestResolvePlain: with a port, plain HTTP is at listen.http.
func TestResolvePlain(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	secure, plain := newServer(t, newProvider(t)), newServer(t, newProvider(t))
	secure.TLS = world.authority.TLS(t, "example.test")
	secure.StartTLS()
	plain.Start()
	var err error
	if world.resolve, err = network.ParseResolve(secure.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	yaml := replaced(identityYAML, "127.0.0.1:80", plain.Listener.Addr().String())
	look(t, world.checker(load(t, folder(t), yaml)).Domain("example.test")).
		expect(t, want{"plain HTTP", report.Warning, "404", "redirect to https"})
	yaml = replaced(identityYAML, "127.0.0.1:80", "127.0.0.1:0")
	look(t, world.checker(load(t, folder(t), yaml)).Domain("example.test")).
		expect(t, want{"plain HTTP", report.Skipped, "the port of HTTPS alone", ""})
}
