package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/caddyserver/certmagic"
)

// filePair is a certificate with its key, and the state of the files it came
// from.
type filePair struct {
	cert              tls.Certificate // Leaf is always set
	certInfo, keyInfo os.FileInfo
}

// fileFault is a fault of one of the files and what can be done about it.
type fileFault struct {
	err  error
	hint string
}

func (e *fileFault) Error() string { return fmt.Sprintf("%v (hint: %s)", e.err, e.hint) }
func (e *fileFault) Unwrap() error { return e.err }

// changed reports whether one of the files is another than the one read, or
// cannot be looked at.
func (p *filePair) changed(certFile, keyFile string) bool {
	return fileChanged(p.certInfo, certFile) || fileChanged(p.keyInfo, keyFile)
}

// fileChanged follows symbolic links, so that it sees the swap of a link by
// which certbot and Kubernetes put a new pair into place.
func fileChanged(then os.FileInfo, name string) bool {
	now, err := os.Stat(name)
	return err != nil || !os.SameFile(then, now) || !then.ModTime().Equal(now.ModTime()) || then.Size() != now.Size()
}

// readPair reads a certificate and its key. Every error is a *fileFault.
func readPair(certFile, keyFile string) (*filePair, error) {
	certPEM, certInfo, err := readFile("certificate", certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, keyInfo, err := readFile("key", keyFile)
	if err != nil {
		return nil, err
	}
	leaf, err := parseLeaf(certPEM)
	if err != nil {
		return nil, &fileFault{
			fmt.Errorf("reading the certificate %s: %w", certFile, err),
			"the file must be PEM: the certificate of the host first, then the intermediate certificates",
		}
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, &fileFault{
			fmt.Errorf("reading the key %s: %w", keyFile, err),
			"the file must be an unencrypted PEM key; openssl pkey -in FILE -out NEWFILE takes off a passphrase",
		}
	}
	if !isKeyOf(key, leaf) {
		return nil, &fileFault{
			fmt.Errorf("the key %s is not the key of the certificate %s", keyFile, certFile),
			"put the two files that belong together into place",
		}
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, &fileFault{fmt.Errorf("reading the certificate %s: %w", certFile, err), "check the file with openssl x509 -text -in FILE"}
	}
	cert.Leaf = leaf
	return &filePair{cert: cert, certInfo: certInfo, keyInfo: keyInfo}, nil
}

// readFile returns a file and its state before it was read: a change in between
// is then seen by the next look.
func readFile(what, name string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(name)
	var data []byte
	if err == nil {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, nil, &fileFault{fmt.Errorf("reading the %s: %w", what, err), readHint(err)}
	}
	return data, info, nil
}

func readHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "check the path; in a container, that it is mounted"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that persona runs as read the file"
	default:
		return "the file must be readable"
	}
}

// parseLeaf returns the first certificate.
func parseLeaf(data []byte) (*x509.Certificate, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("no PEM block CERTIFICATE in it")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
		data = rest
	}
}

// parseKey returns the first key, passing over other blocks (EC PARAMETERS,
// certificates). It never repeats what is in the file in an error.
func parseKey(data []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(data)
		switch {
		case block == nil:
			return nil, errors.New("no PEM block PRIVATE KEY in it")
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the key is encrypted")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			key, err := certmagic.PEMDecodePrivateKey(pem.EncodeToMemory(block))
			if err != nil {
				return nil, errors.New("the key is damaged or of an unknown kind")
			}
			return key, nil
		}
		data = rest
	}
}

func isKeyOf(key crypto.Signer, leaf *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// leafNames returns the DNS names and IP addresses in a certificate.
func leafNames(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
