package ca_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"persona-sidecar/cmd/demo/internal/ca"
)

func newCA(t *testing.T) *ca.CA {
	t.Helper()
	authority, err := ca.New(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func leaf(t *testing.T, pair ca.Pair) *x509.Certificate {
	t.Helper()
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return certificate.Leaf
}

func TestIssued(t *testing.T) {
	t.Parallel()
	authority := newCA(t)
	pair, err := authority.Issue("example.localhost", "www.example.localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example.localhost", "www.example.localhost", "127.0.0.1"} {
		if _, err := leaf(t, pair).Verify(x509.VerifyOptions{DNSName: name, Roots: authority.Roots()}); err != nil {
			t.Errorf("%s does not verify: %v", name, err)
		}
	}
	if _, err := leaf(t, pair).Verify(x509.VerifyOptions{DNSName: "other.localhost", Roots: authority.Roots()}); err == nil {
		t.Error("a name that was not asked for verifies")
	}
	if _, err := leaf(t, pair).Verify(x509.VerifyOptions{DNSName: "example.localhost", Roots: newCA(t).Roots()}); err == nil {
		t.Error("another authority's roots accept the certificate")
	}
	late := time.Now().Add(ca.Lifetime + time.Minute)
	if _, err := leaf(t, pair).Verify(x509.VerifyOptions{Roots: authority.Roots(), CurrentTime: late}); err == nil {
		t.Error("the certificate outlives its lifetime")
	}
}

// TestNamesAreConstrained: a browser that trusts the authority trusts it for localhost alone.
func TestNamesAreConstrained(t *testing.T) {
	t.Parallel()
	authority := newCA(t)
	for _, name := range []string{"bank.example", "192.0.2.1"} {
		pair, err := authority.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf(t, pair).Verify(x509.VerifyOptions{DNSName: name, Roots: authority.Roots()}); err == nil {
			t.Errorf("a certificate for %s verifies", name)
		}
	}
}

func TestPEMHoldsNoKey(t *testing.T) {
	t.Parallel()
	text := newCA(t).PEM()
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatalf("not one certificate: %s", text)
	}
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("the authority's key left memory")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	if _, err := newCA(t).Issue(); err == nil {
		t.Error("a certificate without a name was issued")
	}
	if _, err := ca.New(iotest.ErrReader(tls.AlertError(0)), time.Now()); err == nil {
		t.Error("an authority was made without randomness")
	}
}
