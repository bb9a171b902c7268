package certs_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs/acmetest"
)

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// TestLookup: before the first order the log says where a name points and whether
// that is here, unless the name is one that the DNS cannot have.
func TestLookup(t *testing.T) {
	t.Parallel()
	public := addrs("127.0.0.1", "10.1.2.3", "203.0.113.5", "2001:db8::5")
	tests := map[string]struct {
		points []netip.Addr
		err    error
		local  []netip.Addr
		level  string
		want   string
	}{
		"here":      {points: addrs("203.0.113.5", "::ffff:203.0.113.5"), local: public, level: "info", want: "the name points to this machine"},
		"elsewhere": {points: addrs("192.0.2.7"), local: public, level: "warn", want: `"elsewhere":["192.0.2.7"]`},
		"half":      {points: addrs("203.0.113.5", "2001:db8::7"), local: public, level: "warn", want: `"elsewhere":["2001:db8::7"]`},
		"nat":       {points: addrs("192.0.2.7"), local: addrs("127.0.0.1", "172.17.0.2", "fe80::1", "100.64.0.9"), level: "info", want: "it is unknown whether"},
		"gone":      {err: &net.DNSError{Err: "no such host", IsNotFound: true}, level: "warn", want: "make an A or AAAA record"},
		"silent":    {err: context.DeadlineExceeded, level: "warn", want: "the DNS gives no address for this name"},
	}
	for label, test := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name := label + ".corp"
			site := listen(t)
			server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
			config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
			config.LocalAddrs = func() ([]netip.Addr, error) { return test.local, nil }
			config.Public = func(addr netip.Addr) bool { return slices.Contains(addrs("203.0.113.5", "2001:db8::5"), addr) }
			config.Lookup = func(ctx context.Context, asked string) ([]netip.Addr, error) {
				if asked != name {
					t.Errorf("looked up %s", asked)
				}
				if server.Asked() != 0 {
					t.Error("an order came before the DNS was asked")
				}
				if errors.Is(test.err, context.DeadlineExceeded) {
					<-ctx.Done() // as a DNS that never answers
				}
				return test.points, test.err
			}
			site.start(config)
			site.mustServe(name, server.IssuerRoots()) // whatever the DNS says
			for line := range strings.Lines(site.log.String()) {
				if strings.Contains(line, test.want) && strings.Contains(line, `"level":"`+test.level+`"`) && strings.Contains(line, name) {
					return
				}
			}
			t.Errorf("no %s line with %q in\n%s", test.level, test.want, site.log.String())
		})
	}
}

// TestLookupReserved: names that the DNS cannot have are not looked up.
func TestLookupReserved(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "reserved.test")
	config.Lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		t.Errorf("looked up %s", name)
		return nil, errors.New("unexpected")
	}
	site.start(config)
	site.mustServe("reserved.test", server.IssuerRoots())
}
