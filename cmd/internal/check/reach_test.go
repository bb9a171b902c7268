package check_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
)

// plainHosts is a configuration of two hosts that are only proxied.
const plainHosts = `
state_dir: state
listen: {http: ":80"}
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, upstream: "http://127.0.0.1:1", hosts: [www.example.test]}
`

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestDNS(t *testing.T) {
	t.Parallel()
	const public, other, inner = "198.51.100.1", "203.0.113.9", "10.1.2.3"
	for name, test := range map[string]struct {
		addresses, machine []string
		failing            error
		want               want
	}{
		"no name":         {nil, []string{public}, nil, want{"DNS", report.Failed, "DNS knows no address of example.test", "make an A"}},
		"no answer":       {nil, []string{public}, &net.DNSError{Err: "server misbehaving", Name: "example.test", IsTemporary: true}, want{"DNS", report.Failed, "does not answer for example.test: server misbehaving", "name servers"}},
		"here":            {[]string{public, "2001:db8::1"}, []string{inner, public, "2001:db8::1"}, nil, want{"DNS", report.OK, "this machine", ""}},
		"elsewhere":       {[]string{other}, []string{"8.8.4.4"}, nil, want{"DNS", report.Warning, "203.0.113.9: not this machine, which has 8.8.4.4", "load balancer"}},
		"half elsewhere":  {[]string{public, "2001:db8::1"}, []string{public}, nil, want{"DNS", report.Warning, "of these, 2001:db8::1 is not this machine", "correct or remove"}},
		"behind a router": {[]string{other}, []string{inner, "100.64.0.9"}, nil, want{"DNS", report.OK, "private addresses only", ""}},
		"loopback":        {[]string{"127.0.0.1"}, []string{public}, nil, want{"DNS", report.Warning, "leads to itself", "/etc/hosts"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			for _, text := range test.addresses {
				world.names["example.test"] = append(world.names["example.test"], netip.MustParseAddr(text))
			}
			for _, text := range test.machine {
				world.machine = append(world.machine, netip.MustParseAddr(text))
			}
			world.failing["example.test"] = test.failing
			world.ports["127.0.0.1:443"] = "127.0.0.1:1"
			found := look(t, world.checker(load(t, t.TempDir(), plainHosts)).Domain("example.test"))
			found.expect(t, test.want)
			if test.want.status == report.Failed { // without an address there is no port to open
				found.expect(t, want{"plain HTTP", report.Skipped, "no address to connect to", ""})
			}
		})
	}
}

// TestOwnResolverDown: this machine's name server is named, not those of the domain.
func TestOwnResolverDown(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	env := world.world(nil)
	env.Resolver = network.DNS{Servers: []string{"127.0.0.1:1"}}
	env.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		_, err := env.Resolver.Addresses(ctx, host)
		return nil, err
	}
	yaml := replaced(identityYAML, "{name: example.test,", `{name: example.test, upstream: "http://cms.test",`)
	yaml = replaced(yaml, "ldap://127.0.0.1:1", "ldap://ldap.test")
	yaml = replaced(yaml, `tls: {mode: "off"}`, `tls: {acme: {directory: "https://acme.test/dir"}}`)
	found := look(t, check.New(env, check.Options{Config: load(t, folder(t), yaml)}).Everything())
	const message, hint = "this machine's name server gives no answers (127.0.0.1:1)", "start the name server that /etc/resolv.conf names"
	for _, step := range []string{"DNS", "answers", "reach", "ACME directory"} {
		found.expect(t, want{step, report.Failed, message, hint})
	}
	found.expect(t, want{"CAA", report.Warning, message, hint})
	for _, step := range []string{"port 443", "plain HTTP"} {
		found.expect(t, want{step, report.Skipped, "there is no address to connect to", ""})
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.place("closed.test")
	found := look(t, world.checker(nil).Domain("closed.test"))
	found.expect(t, want{"port 443", report.Failed, "198.51.100.1:443: the connection is refused", "is the server of closed.test running"})
	found.nothingElse(t, "port 443")

	// One dead address of two makes for faults that come and go.
	world = newInternet(t)
	world.serve("half.test", newProvider(t))
	world.names["half.test"] = append(world.names["half.test"], netip.MustParseAddr("2001:db8::9"))
	found = look(t, world.checker(nil).Domain("half.test"))
	found.expect(t, want{"port 443", report.Failed, "[2001:db8::9]:443: the connection is refused", ""})
	found.nothingElse(t, "port 443")
}

// forged makes server certificates that are wrong in one way.
type forged struct {
	name                string
	notBefore, notAfter time.Duration // from now
	intermediate        bool          // there is one between root and leaf
	send                bool          // and it is sent
	outdated            bool          // and it ended an hour ago
	issuer              string
}

// make returns the TLS of a server and the roots of its authority.
func (f forged) make(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	newPair := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, signer = template, key
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return made, key
	}
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(10000 * time.Hour),
		}
	}
	root, rootKey := newPair(authority(f.issuer), nil, nil)
	parent, parentKey := root, rootKey
	if f.intermediate {
		between := authority("between")
		if f.outdated {
			between.NotAfter = time.Now().Add(-time.Hour)
		}
		parent, parentKey = newPair(between, root, rootKey)
	}
	leaf, key := newPair(&x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: f.name}, DNSNames: []string{f.name},
		NotBefore: time.Now().Add(f.notBefore), NotAfter: time.Now().Add(f.notAfter),
	}, parent, parentKey)
	chain := [][]byte{leaf.Raw}
	if f.send {
		chain = append(chain, parent.Raw)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}}, roots
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	good := forged{name: "example.test", notBefore: -time.Hour, notAfter: 90 * day, issuer: "Root"}
	change := func(edit func(*forged)) forged {
		changed := good
		edit(&changed)
		return changed
	}
	for name, test := range map[string]struct {
		forged  forged
		foreign bool // its authority is not trusted
		want    want
	}{
		"good":          {good, false, want{"certificate", report.OK, "by CN=Root, valid until", ""}},
		"whole chain":   {change(func(f *forged) { f.intermediate, f.send = true, true }), false, want{"certificate", report.OK, "by CN=between", ""}},
		"expired":       {change(func(f *forged) { f.notBefore, f.notAfter = -9*day, -day }), false, want{"certificate", report.Failed, "expired on", "renew it"}},
		"expired chain": {change(func(f *forged) { f.intermediate, f.send, f.outdated = true, true, true }), false, want{"certificate", report.Failed, "the certificate of CN=between in the chain: expired on", "present intermediate certificate"}},
		"not yet valid": {change(func(f *forged) { f.notBefore = day }), false, want{"certificate", report.Failed, "valid only from", "set this machine's clock"}},
		"near its end":  {change(func(f *forged) { f.notBefore, f.notAfter = -80*day, 10*day }), false, want{"certificate", report.Warning, "it ends in 9 days", "renew it"}},
		"another name":  {change(func(f *forged) { f.name = "other.test" }), false, want{"certificate", report.Failed, "other.test", "serve a certificate for example.test"}},
		"no chain":      {change(func(f *forged) { f.intermediate = true }), false, want{"certificate", report.Failed, "unknown authority", "send the intermediate certificate"}},
		"unknown root":  {change(func(f *forged) { f.send = true }), true, want{"certificate", report.Failed, "unknown authority", "-ca-file"}},
		"staging":       {change(func(f *forged) { f.issuer = "(STAGING) Pretend Pear X1" }), true, want{"certificate", report.Failed, "STAGING", "remove tls.acme.directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			settings, roots := test.forged.make(t)
			world.serveTLS("example.test", settings, newProvider(t))
			if test.foreign {
				roots = x509.NewCertPool()
			}
			look := look(t, world.checkerWith(roots).Domain("example.test"))
			look.expect(t, test.want)
			if test.want.status != report.Failed {
				look.nothingElse(t, "certificate")
			} else {
				look.expect(t, want{"support document", report.Skipped, "", ""})
			}
		})
	}
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	server := newServer(t, http.HandlerFunc(hello))
	server.Start()
	world.lead("example.test", 443, server.Listener.Addr())
	found := look(t, world.checker(nil).Domain("example.test"))
	found.expect(t, want{"certificate", report.Failed, "the answer is not TLS", "what listens there"})
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   want
	}{
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.test"+r.RequestURI, http.StatusPermanentRedirect)
		}, want{"plain HTTP", report.OK, "308 to https://example.test", ""}},
		"to www":              {redirect("https://www.example.test/"), want{"plain HTTP", report.Warning, "301 to https://www.example.test/", "listen.public_https"}},
		"served in the clear": {hello, want{"plain HTTP", report.Warning, "200", "redirect to https"}},
		"no certificate yet":  {text(503, "text/html", "no certificate yet"), want{"plain HTTP", report.Failed, "503: no certificate yet", "log"}},
		"no server there":     {nil, want{"plain HTTP", report.Warning, "refused", "open port 80"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			world.serve("example.test", http.HandlerFunc(hello))
			if test.answer != nil {
				world.servePlain("example.test", test.answer)
			}
			look(t, world.checker(load(t, t.TempDir(), plainHosts)).Domain("example.test")).expect(t, test.want)
		})
	}
}

// TestFrontDoor asks for the website as a visitor does.
func TestFrontDoor(t *testing.T) {
	t.Parallel()
	for status, w := range map[int]want{
		200: {"website", report.OK, "visitors get 200", ""},
		421: {"website", report.Failed, "421", "a proxy in front does not pass the Host"},
		502: {"website", report.Failed, "visitors get 502", "look at the website"},
	} {
		world := newInternet(t)
		world.serve("www.example.test", http.HandlerFunc(text(status, "text/html", "x")))
		yaml := replaced(plainHosts, "http://127.0.0.1:1", site(t, map[string]func(http.ResponseWriter, *http.Request){"/": hello}))
		look(t, world.checker(load(t, t.TempDir(), yaml)).Domain("www.example.test")).expect(t, w)
	}
	// A website that is down was found so already.
	world := newInternet(t)
	world.serve("www.example.test", http.HandlerFunc(text(502, "text/html", "x")))
	found := look(t, world.checker(load(t, t.TempDir(), plainHosts)).Domain("www.example.test"))
	found.expect(t, want{"answers", report.Failed, "refused", "is upstream right?"})
	found.expect(t, want{"website", report.Skipped, "visitors get 502: the website itself fails", ""})
	// Our own host is this program.
	world.place("example.test")
	look(t, world.checker(load(t, t.TempDir(), plainHosts)).Domain("example.test")).
		expect(t, want{"port 443", report.Failed, "198.51.100.2:443: the connection is refused", "is the program running"})
}

// TestProxyInFront: the usual mistakes of a proxy that ends TLS in front of the
// program are named: it does not say that it was HTTPS, is not trusted, or does
// not pass the host on.
func TestProxyInFront(t *testing.T) {
	t.Parallel()
	itself := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.test"+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   want
	}{
		"redirect to itself": {itself, want{"support document", report.Failed, "a redirect to the very URL that was asked for", "X-Forwarded-Proto: https"}},
		"website to itself":  {itself, want{"website", report.Failed, "a redirect to the very URL that was asked for", "X-Forwarded-Proto: https"}},
		"not trusted":        {text(503, "text/html", "no"), want{"support document", report.Failed, "503", "trusted_proxies"}},
		"another host":       {text(421, "text/html", "no"), want{"support document", report.Failed, "421", "a proxy in front does not pass the Host"}},
		"www":                {redirect("https://www.example.test/"), want{"support document", report.Failed, "301: a redirect to https://www.example.test/", "no client follows"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			world.serve("example.test", test.answer)
			yaml := replaced(identityYAML, "directory: corp}", `directory: corp, upstream: "http://127.0.0.1:1"}`)
			look(t, world.checker(load(t, folder(t), yaml)).Domain("example.test")).expect(t, test.want)
		})
	}
}

// TestPlainHTTPWithoutTrust: in mode off there is no certificate to wait for.
func TestPlainHTTPWithoutTrust(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.test", http.HandlerFunc(hello))
	world.servePlain("example.test", http.HandlerFunc(text(503, "text/html", "no")))
	look(t, world.checker(load(t, t.TempDir(), plainHosts)).Domain("example.test")).
		expect(t, want{"plain HTTP", report.Failed, "503", "trusted_proxies"})
}

func TestCAA(t *testing.T) {
	t.Parallel()
	issue := func(value string) network.CAA { return network.CAA{Tag: "issue", Value: value} }
	for name, test := range map[string]struct {
		records []network.CAA
		failing error
		want    want
	}{
		"none":            {nil, nil, want{"CAA", report.OK, "any authority may issue", ""}},
		"allowed":         {[]network.CAA{issue("other.example"), issue("ca.example; validationmethods=http-01")}, nil, want{"CAA", report.OK, "allows ca.example", ""}},
		"capitals":        {[]network.CAA{{Tag: "ISSUE", Value: " CA.Example "}}, nil, want{"CAA", report.OK, "allows ca.example", ""}},
		"another":         {[]network.CAA{issue("letsencrypt.org")}, nil, want{"CAA", report.Failed, `allows "letsencrypt.org" only, and not ca.example`, `add the record example.test CAA 0 issue "ca.example"`}},
		"no authority":    {[]network.CAA{issue(";")}, nil, want{"CAA", report.Failed, `allows "" only`, "add the record"}},
		"only wildcards":  {[]network.CAA{{Tag: "issuewild", Value: ";"}}, nil, want{"CAA", report.OK, "no issuer is named", ""}},
		"critical":        {[]network.CAA{{Tag: "tbs", Value: "x", Critical: true}}, nil, want{"CAA", report.Failed, "critical CAA record tbs", "remove"}},
		"cannot be asked": {nil, errNoAnswer, want{"CAA", report.Warning, "cannot be asked: no answer", "name servers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			world.caa["example.test"], world.caaError = test.records, test.failing
			world.serve("acme.test", acmeDirectory(`{"newNonce":"n","newAccount":"a","newOrder":"o","meta":{"caaIdentities":["ca.example"]}}`))
			look(t, world.checker(load(t, t.TempDir(), acmeHosts)).Domain("example.test")).expect(t, test.want)
		})
	}
	// A server that does not say by which name CAA records call it.
	world := newInternet(t)
	world.caa["example.test"] = []network.CAA{issue("ca.example")}
	world.serve("acme.test", acmeDirectory(`{"newNonce":"n","newAccount":"a","newOrder":"o"}`))
	look(t, world.checker(load(t, t.TempDir(), acmeHosts)).Domain("example.test")).
		expect(t, want{"CAA", report.Warning, "does not say", "see whether"})
}
