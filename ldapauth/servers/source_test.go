package servers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"
)

// TestNameMoves: a name gets other addresses. New connections go there, and nothing stays of the old ones.
func TestNameMoves(t *testing.T) {
	t.Parallel()
	cfg, first, second := pair(t)
	dns := &names{addresses: map[string][]string{"dc.example.test": {"127.0.0.1"}}}
	cfg.Resolver = dns
	set := open(t, cfg)
	if err := signIn(set); err != nil {
		t.Fatal(err)
	}
	dns.set("dc.example.test", "127.0.0.2")
	ldaptest.Eventually(t, "the new address is used", func() bool {
		first.Cut() // a new connection is needed
		if err := signIn(set); err != nil {
			t.Fatal(err)
		}
		return second.Open() > 0 && len(set.Stats().Servers) == 1
	})
	ldaptest.Eventually(t, "the old connections are closed", func() bool { return first.Open() == 0 })
	if got := set.Stats().Servers[0].Address; got != second.Address() {
		t.Errorf("the address is %s", got)
	}

	dns.set("dc.example.test") // DNS breaks: what is known is used on
	before := dns.lookups("dc.example.test")
	ldaptest.Eventually(t, "the name is looked up twice", func() bool {
		second.Cut()
		if err := signIn(set); err != nil {
			t.Fatal(err)
		}
		return dns.lookups("dc.example.test") > before+1
	})
}

// TestNameOfManyAddresses: of a name that has hundreds, some are servers, and those stay that are.
func TestNameOfManyAddresses(t *testing.T) {
	t.Parallel()
	cfg, first, _ := pair(t)
	many := []string{"127.0.0.1"}
	for i := range 200 {
		many = append(many, fmt.Sprintf("127.1.0.%d", i+1))
	}
	dns := &names{addresses: map[string][]string{"dc.example.test": many}}
	cfg.Resolver = dns
	set := open(t, cfg)
	before := dns.lookups("dc.example.test")
	ldaptest.Eventually(t, "the name is looked up in another order", func() bool {
		if err := signIn(set); err != nil {
			t.Fatal(err)
		}
		first.Cut()
		slices.Reverse(many[1:])
		dns.set("dc.example.test", append(slices.Clone(many[1:]), many[0])...)
		return dns.lookups("dc.example.test") > before+1
	})
	servers := set.Stats().Servers
	if len(servers) != 32 || servers[0].Address != first.Address() {
		t.Errorf("%d servers, the first is %s", len(servers), servers[0].Address)
	}
}

// TestNameUnknownAtFirst: a name that DNS learns later.
func TestNameUnknownAtFirst(t *testing.T) {
	t.Parallel()
	cfg, _, _ := pair(t)
	dns := &names{addresses: map[string][]string{}}
	cfg.Resolver = dns
	set := open(t, cfg)
	if err := search(set); err == nil || !strings.Contains(hintOf(err), "correct the host name in urls") {
		t.Errorf("%v", hintOf(err))
	}
	dns.set("dc.example.test", "127.0.0.1")
	ldaptest.Eventually(t, "the name is found", func() bool { return search(set) == nil })
}

// TestManyAtOnceLookUpOnce: 64 calls need connections, and one look-up.
func TestManyAtOnceLookUpOnce(t *testing.T) {
	t.Parallel()
	cfg, _, _ := pair(t)
	dns := cfg.Resolver.(*names)
	set := open(t, cfg)
	if err := together(64, func() error { return search(set) }); err != nil {
		t.Fatal(err)
	}
	if n := dns.lookups("dc.example.test"); n > 3 { // one a second at most
		t.Errorf("%d look-ups", n)
	}
}

// srv are records of RFC 2782 in the order in which the resolver returns them.
func srv(targets ...string) []*net.SRV {
	var records []*net.SRV
	for i, target := range targets {
		host, port, _ := strings.Cut(target, ":")
		n, _ := strconv.Atoi(port)
		records = append(records, &net.SRV{Target: host, Port: uint16(n), Priority: uint16(i)})
	}
	return records
}

func TestSRV(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	ldaps, plain := portOf(s.LDAPSURL()), portOf(s.URL())
	dead := ldaptest.StartRelay(t, "127.0.0.2:0", "127.0.0.1:1")
	dns := &names{
		addresses: map[string][]string{
			"dc1.example.test": {"127.0.0.2"}, "dc2.example.test": {"127.0.0.1", "::1"}, "dc.elsewhere.test": {"127.0.0.1"}, "ads.example.test": {"127.0.0.1"},
		},
		services: map[string][]*net.SRV{
			"_ldaps._tcp.example.test":         srv("dc1.example.test.:"+portOf(dead.Address()), "DC2.Example.Test.:"+ldaps),
			"_ldap._tcp.example.test":          srv("dc2.example.test.:" + plain),
			"_ldaps._tcp.elsewhere.example":    srv("dc.elsewhere.test.:" + ldaps),
			"_ldaps._tcp.suffix.test":          srv("dc.notsuffix.test.:" + ldaps),
			"_ldaps._tcp.none.example.test":    srv(".:0"),
			"_ldaps._tcp.missing.example.test": srv("gone.missing.example.test.:" + ldaps),
		},
	}
	for name, c := range map[string]struct {
		srv    string
		change func(*servers.Config)
		want   string // in the error; "": none
	}{
		"ldaps":                                {"ldaps://example.test", nil, ""},
		"StartTLS":                             {"ldap://example.test", func(c *servers.Config) { c.StartTLS = true }, ""},
		"clear text":                           {"ldap://example.test", nil, ""},
		"elsewhere":                            {"ldaps://elsewhere.example", func(c *servers.Config) { c.TLSServerName = "" }, "set tls_server_name"},
		"elsewhere, named for TLS":             {"ldaps://elsewhere.example", nil, ""},
		"another suffix":                       {"ldaps://suffix.test", func(c *servers.Config) { c.TLSServerName = "" }, "are not below it: dc.notsuffix.test"},
		"the target's name in the certificate": {"ldaps://example.test", func(c *servers.Config) { c.TLSServerName = "" }, "not dc2.example.test"},
		"no service":                           {"ldaps://none.example.test", nil, "DNS lists no servers"},
		"no record":                            {"ldaps://other.example.test", nil, "the domain in srv"},
		"no address":                           {"ldaps://missing.example.test", nil, "gone.missing.example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(s)
			cfg.SRV, cfg.Resolver = c.srv, dns
			if c.change != nil {
				c.change(&cfg)
			}
			set := open(t, cfg)
			err := together(8, func() error { return signIn(set) })
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(hintOf(search(set)), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestClientCertificate: a server that wants one gets the one that there is at each handshake.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	seen := make(chan string, 100)
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, func(*x509.Certificate) {}, false)}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen <- state.PeerCertificates[0].Subject.CommonName
			return nil
		},
	}
	address := serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			_, _ = s.Read(make([]byte, 100))
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	var now atomic.Pointer[tls.Certificate]
	set := open(t, servers.Config{
		URLs: []string{"ldaps://" + address}, Roots: roots, Timeout: timeout, MaxBinds: 1, MaxSearches: 1,
		ClientCertificate: func() (*tls.Certificate, error) { return now.Load(), nil },
	})
	for _, name := range []string{"the old one", "the new one"} {
		certificate := ca.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.ExtKeyUsage = name, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, false)
		now.Store(&certificate)
		_ = set.Ping(context.Background(), "") // the server says no LDAP
		if got := <-seen; got != name {
			t.Errorf("the server sees %q, want %q", got, name)
		}
		for len(seen) > 0 {
			<-seen
		}
	}
}
