// Package ca is the demo's throw-away certificate authority. Its key never leaves memory, its certificate lasts
// a week, and both are bound by name constraints (RFC 5280, section 4.2.1.10) to localhost, so that a person
// who lets a browser trust it for an afternoon has not opened the browser to anything else.
//
// It stands at the very beginning of all flows of the demo: the sidecar's TLS certificate (tls.mode: files) and
// the embedded directory's come from here.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// Lifetime is how long the authority and everything it issues are valid.
const Lifetime = 7 * 24 * time.Hour

// clockSkew is how far certificates are dated back, for a browser on another clock than ours.
const clockSkew = time.Hour

// CA issues server certificates for names under localhost and for loopback addresses.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	random      io.Reader
	now         time.Time
}

// Pair is a certificate chain and its private key, both as PEM.
type Pair struct {
	Certificate []byte
	Key         []byte
}

// New makes an authority that is valid from now for [Lifetime].
func New(random io.Reader, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making the key of the throw-away CA: %w", err)
	}
	template, err := newTemplate(random, now, "persona demo, throw-away CA")
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	template.PermittedDNSDomainsCritical = true
	template.PermittedDNSDomains = []string{"localhost"}
	template.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the throw-away CA's own certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the throw-away CA's own certificate: %w", err)
	}
	return &CA{certificate: certificate, key: key, random: random, now: now}, nil
}

// PEM returns the authority's certificate.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})
}

// Roots returns a pool that trusts this authority and nothing else.
func (c *CA) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.certificate)
	return pool
}

// Issue makes a server certificate for the names, each a host name under localhost or a loopback address.
func (c *CA) Issue(names ...string) (Pair, error) {
	if len(names) == 0 {
		return Pair{}, errors.New("issuing a certificate: no name was given")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.random)
	if err != nil {
		return Pair{}, fmt.Errorf("making a key for %s: %w", names[0], err)
	}
	template, err := newTemplate(c.random, c.now, names[0])
	if err != nil {
		return Pair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(c.random, template, c.certificate, key.Public(), c.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %s: %w", names[0], err)
	}
	return encodePair(der, key)
}

// TLS returns the pair as the standard library's servers take it.
func (p Pair) TLS() (tls.Certificate, error) {
	certificate, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading an issued certificate back: %w", err)
	}
	return certificate, nil
}

func newTemplate(random io.Reader, now time.Time, name string) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	serial[0] &= 0x7f // a positive number: RFC 5280, section 4.1.2.2
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(Lifetime),
	}, nil
}

func encodePair(der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encoding an issued key: %w", err)
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, nil
}
