package servers_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/ldapauth/servers"

	"github.com/rs/zerolog"
)

// authority signs certificates of servers.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes one with an RSA key, so that SHA-1 can be tried.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Ltd CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

// issue makes a certificate for localhost and 127.0.0.1, but for a change; with self it signs itself.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate), self bool) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x7777), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	change(template)
	parent, signer := a.certificate, a.key
	if self {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve answers connections until the test ends, and returns its host:port.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return listener.Addr().String()
}

// serveTLS shakes hands, and says nothing afterwards.
func serveTLS(t *testing.T, config *tls.Config) string {
	return serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	})
}

func TestHints(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	same := func(*x509.Certificate) {}
	with := func(change func(*x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.issue(t, change, false)}}
	}
	good := with(same)
	negative := ca.issue(t, same, false)
	for i := range negative.Certificate[0] { // the serial number; its signature is never looked at
		if der := negative.Certificate[0]; string(der[i:i+4]) == "\x02\x02\x77\x77" {
			der[i+2] = 0xf7
			break
		}
	}
	wantsClient := with(same)
	wantsClient.ClientAuth = tls.RequireAnyClientCert
	wantsClient12 := wantsClient.Clone()
	wantsClient12.MaxVersion = tls.VersionTLS12
	old := with(same)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	rsaOnly := with(same)
	rsaOnly.MaxVersion, rsaOnly.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	greeted := func(answer string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
		}
	}
	for name, c := range map[string]struct {
		server string // host:port
		change func(*servers.Config)
		want   string
	}{
		"common name alone":           {serveTLS(t, with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })), nil, "needs a subjectAltName"},
		"SHA-1":                       {serveTLS(t, with(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })), nil, "signed with SHA1-RSA"},
		"TLS 1.1":                     {serveTLS(t, old), nil, "no TLS 1.2 or newer"},
		"TLS 1.0, and no alert":       {serve(t, greeted("\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"+strings.Repeat("r", 32)+"\x00\x00\x2f\x00")), nil, "no TLS 1.2 or newer"},
		"RSA key exchange":            {serveTLS(t, rsaOnly), nil, "key exchange with forward secrecy"},
		"negative serial":             {serveTLS(t, &tls.Config{Certificates: []tls.Certificate{negative}}), nil, "negative serial number"},
		"another name":                {serveTLS(t, with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"ldap.example.com"}, nil })), nil, "set tls_server_name"},
		"tls_server_name":             {serveTLS(t, good), func(c *servers.Config) { c.TLSServerName = "vip.example.com" }, "set tls_server_name"},
		"expired":                     {serveTLS(t, with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), nil, "renew the directory's certificate"},
		"not yet valid":               {serveTLS(t, with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), nil, "set this machine's clock"},
		"not for servers":             {serveTLS(t, with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), nil, "extended key usage serverAuth"},
		"unknown CA":                  {serveTLS(t, good), func(c *servers.Config) { c.Roots = x509.NewCertPool() }, "certificate of the CA"},
		"self-signed":                 {serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, same, true)}}), nil, "signed by itself: set ca_file"},
		"client certificate":          {serveTLS(t, wantsClient), nil, "set client_cert_file"},
		"client certificate, TLS 1.2": {serveTLS(t, wantsClient12), nil, "set client_cert_file"},
		"client certificate unread": {serveTLS(t, wantsClient), func(c *servers.Config) {
			c.ClientCertificate = func() (*tls.Certificate, error) { return nil, io.ErrUnexpectedEOF }
		}, "unexpected EOF"},
		"StartTLS at an ldaps port": {serveTLS(t, good), func(c *servers.Config) { c.StartTLS = true }, "use ldaps://, without start_tls"},
		"ldaps at a plain port":     {serve(t, greeted("\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x02\x04\x00\x04\x00")), nil, "use ldap:// with start_tls: true"},
		"closes at once":            {serve(t, func(net.Conn) {}), nil, "use ldap:// with start_tls: true"},
		"no server":                 {"127.0.0.1:1", nil, "is the directory running"},
		"silent":                    {serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), func(c *servers.Config) { c.Timeout = 100 * time.Millisecond }, "does not answer in time"},
		"no such name":              {"ldap.example.test", nil, "correct the host name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots := x509.NewCertPool()
			roots.AddCert(ca.certificate)
			cfg := servers.Config{
				URLs: []string{"ldaps://" + c.server}, Roots: roots, BindDN: "cn=service", BindPassword: "secret", Timeout: 10 * time.Second,
				MaxBinds: 1, MaxSearches: 1, Resolver: &names{}, Log: zerolog.Nop(),
			}
			if c.change != nil {
				c.change(&cfg)
			}
			if cfg.StartTLS {
				cfg.URLs = []string{"ldap://" + c.server}
			}
			if err := signIn(open(t, cfg)); err == nil || !strings.Contains(hintOf(err), c.want) {
				t.Errorf("%v, want %q", hintOf(err), c.want)
			}
		})
	}
}
