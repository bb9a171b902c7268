package verifier_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/verifier"

	"github.com/miekg/dns"
)

const site = "https://rp.example"

// The keys of the tests, made once: making them is slow.
var (
	ownKey     = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	oldKey     = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	foreignKey = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	clientKey  = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	strayKey   = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	shortKey   = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(1024) })
)

func makeKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func public(t testing.TB, key *rsa.PrivateKey) *browserid.PublicKey {
	t.Helper()
	k, err := browserid.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyJSON(t testing.TB, key *rsa.PrivateKey) string {
	t.Helper()
	text, err := public(t, key).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// internet is a network of its own: a resolver, a certificate authority and one
// server on loopback that is every domain.
type internet struct {
	t        testing.TB
	clock    *idptest.Clock
	port     int
	resolver *net.Resolver
	roots    *x509.CertPool

	documents map[string]browserid.Document // our own

	mu        sync.Mutex
	sites     map[string]http.HandlerFunc
	addresses map[string][]string // by name; others are 127.0.0.1
	asked     []string            // host and query of every request
}

func newInternet(t testing.TB) *internet {
	t.Helper()
	n := &internet{t: t, documents: ownDocuments(t), clock: idptest.NewClock(time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)), sites: map[string]http.HandlerFunc{}, addresses: map[string][]string{}}
	n.serveDNS()
	n.serveTLS()
	return n
}

func (n *internet) serveDNS() {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(n.resolve), NotifyStartedFunc: func() { close(started) }}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	n.t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	n.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *internet) resolve(w dns.ResponseWriter, request *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(request)
	question := request.Question[0]
	name := strings.TrimSuffix(strings.ToLower(question.Name), ".")
	n.mu.Lock()
	addresses, ok := n.addresses[name]
	n.mu.Unlock()
	if !ok {
		addresses = []string{"127.0.0.1"}
	}
	if len(addresses) == 0 {
		answer.Rcode = dns.RcodeNameError
	}
	for _, text := range addresses {
		ip := net.ParseIP(text)
		header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 60}
		switch {
		case question.Qtype == dns.TypeA && ip.To4() != nil:
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: ip})
		case question.Qtype == dns.TypeAAAA && ip.To4() == nil:
			answer.Answer = append(answer.Answer, &dns.AAAA{Hdr: header, AAAA: ip})
		}
	}
	_ = w.WriteMsg(answer)
}

func (n *internet) serveTLS() {
	root, rootKey := n.authority()
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hello.ServerName}, DNSNames: []string{hello.ServerName},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		if strings.HasPrefix(hello.ServerName, "wrong-name.") {
			leaf.DNSNames = []string{"other.test"}
		}
		if strings.HasPrefix(hello.ServerName, "outdated.") {
			leaf.NotAfter = time.Now().Add(-time.Minute)
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey}, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: certificate})
	if err != nil {
		n.t.Fatal(err)
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	n.t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
}

func (n *internet) authority() (*x509.Certificate, crypto.Signer) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	n.roots = x509.NewCertPool()
	n.roots.AddCert(parsed)
	return parsed, key
}

func (n *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.TrimSuffix(r.Host, ":"+strconv.Itoa(n.port))
	n.mu.Lock()
	n.asked = append(n.asked, host+r.URL.RequestURI())
	handler := n.sites[host]
	n.mu.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

// requests returns who was asked so far, in order.
func (n *internet) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

func (n *internet) handle(host string, handler http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sites[host] = handler
}

// publish makes a domain answer with a document. Headers are name, value, ...
func (n *internet) publish(host, document string, headers ...string) {
	n.handle(host, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, document)
	})
}

// delegate makes a domain name its authority.
func (n *internet) delegate(host, authority string) {
	n.publish(host, `{"authority":"`+authority+`"}`)
}

func (n *internet) resolveTo(name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses[name] = addresses
}

// support is the document of an identity provider.
func support(t testing.TB, key *rsa.PrivateKey) string {
	t.Helper()
	return `{"public-key":` + keyJSON(t, key) + `,"authentication":"/a","provisioning":"/p"}`
}

// config lets look-ups into this network.
func (n *internet) config() verifier.DiscoveryConfig {
	return verifier.DiscoveryConfig{
		Own: n.own, Resolver: n.resolver, DefaultPort: n.port, Roots: n.roots,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: n.clock.Now,
		DNSTime: idptest.Patience, Time: idptest.Patience,
	}
}

// ownDocuments are those of a host that signs for example.com, its own name
// and, by certifies, for sister.example, and of two domains beside it.
func ownDocuments(t testing.TB) map[string]browserid.Document {
	t.Helper()
	host := browserid.Delegation{Authority: "id.example.com"}
	return map[string]browserid.Document{
		"id.example.com": browserid.Support{
			PublicKey: public(t, ownKey()), Keys: []*browserid.PublicKey{public(t, ownKey()), public(t, oldKey())},
			Authentication: "/persona/authenticate", Provisioning: "/persona/provision",
		},
		"example.com":       host,
		"sister.example":    host,
		"elsewhere.example": browserid.Delegation{Authority: "idp.foreign.test"},
		"old.example":       browserid.Disabled{},
	}
}

func (n *internet) own(domain string) (browserid.Document, bool, error) {
	doc, ok := n.documents[domain]
	return doc, ok, nil
}

func (n *internet) discovery(change ...func(*verifier.DiscoveryConfig)) *verifier.Discovery {
	config := n.config()
	for _, c := range change {
		c(&config)
	}
	d := verifier.NewDiscovery(config)
	n.t.Cleanup(d.Close)
	return d
}

func (n *internet) verifier(change ...func(*verifier.Config)) *verifier.Verifier {
	config := verifier.Config{
		Discovery: n.discovery(), Now: n.clock.Now,
		Domains: []string{"id.example.com", "example.com", "sister.example", "elsewhere.example", "old.example", "foreign.test", "far.test"},
	}
	for _, c := range change {
		c(&config)
	}
	return verifier.New(config)
}

// person is what a certificate and an assertion are made of.
type person struct {
	email, issuer string
	signer        *rsa.PrivateKey // the issuer's
	key           *rsa.PrivateKey // the browser's
	replace       []string        // in the certificate's payload: old, new, ...
	assertion     []string        // in the assertion's payload
	header        string          // of the certificate
}

func alice() person {
	return person{email: "alice@example.com", issuer: "id.example.com", signer: ownKey(), key: clientKey(), header: `{"alg":"RS256"}`}
}

func bob() person {
	return person{email: "bob@foreign.test", issuer: "foreign.test", signer: foreignKey(), key: clientKey(), header: `{"alg":"RS256"}`}
}

// bundle signs what the person says, however wrong.
func (n *internet) bundle(p person) string {
	return n.certificate(p) + "~" + n.assertion(p)
}

func (n *internet) certificate(p person) string {
	now := n.clock.Now().UnixMilli()
	claims := `{"public-key":` + keyJSON(n.t, p.key) + `,"principal":{"email":"` + p.email + `"},"iat":` +
		strconv.FormatInt(now-10_000, 10) + `,"exp":` + strconv.FormatInt(now+3_600_000, 10) + `,"iss":"` + p.issuer + `"}`
	return sign(n.t, p.signer, p.header, replaced(n.t, claims, p.replace))
}

func (n *internet) assertion(p person) string {
	claims := `{"exp":` + strconv.FormatInt(n.clock.Now().UnixMilli()+120_000, 10) + `,"aud":"` + site + `"}`
	header := `{"alg":"RS256"}`
	if p.key.Size() == 128 {
		header = `{"alg":"RS128"}`
	}
	return sign(n.t, p.key, header, replaced(n.t, claims, p.assertion))
}

func replaced(t testing.TB, text string, replace []string) string {
	t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("nothing to replace: %s is not in %s", replace[i], text)
		}
	}
	return strings.NewReplacer(replace...).Replace(text)
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func sign(t testing.TB, key crypto.Signer, header, payload string) string {
	t.Helper()
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}
