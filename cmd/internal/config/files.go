package config

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// path returns a path as the program can open it: relative to the folder of the
// file that it is written in.
func (l *loader) path(p place) string {
	path := p.node.Value
	if path == "" || filepath.IsAbs(path) || p.line == 0 {
		return path
	}
	return filepath.Join(filepath.Dir(l.file), path)
}

// roots returns the certificates of a PEM file. A file is read once.
func (l *loader) roots(file string) (*x509.CertPool, problem) {
	if pool, read := l.pools[file]; read {
		return pool, problem{}
	}
	pool := x509.NewCertPool()
	if p := addRoots(pool, file); p.text != "" {
		return nil, p
	}
	l.pools[file] = pool
	return pool, problem{}
}

// moreRoots returns the system's roots and the certificates of a PEM file.
func moreRoots(file string) (*x509.CertPool, problem) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, bad("install them, as the package ca-certificates does", "reading the system's root certificates: %v", err)
	}
	return pool, addRoots(pool, file)
}

// ReadRoots returns the system's root certificates and those of a PEM file, for
// files that are named outside of the configuration. The error is [Faults].
func ReadRoots(file string) (*x509.CertPool, error) {
	pool, p := moreRoots(file)
	if p.text != "" {
		return nil, Faults{{Problem: p.text, Cure: p.cure}}
	}
	return pool, nil
}

func addRoots(pool *x509.CertPool, file string) problem {
	data, p := readFile(file, maxFile)
	if p.text == "" && !pool.AppendCertsFromPEM(data) {
		p = bad("give certificates in PEM form: -----BEGIN CERTIFICATE-----", "the file %s holds no certificate", file)
	}
	return p
}

// maxSecret bounds a secret in a file, in bytes.
const maxSecret = 64 << 10

// secretFile returns the text of a file without one end of line at its end.
func (l *loader) secretFile(file string) (Secret, problem) {
	data, p := readFile(file, maxSecret)
	if p.text != "" {
		return Secret{}, p
	}
	if !slices.Contains(l.secretFiles, file) {
		l.secretFiles = append(l.secretFiles, file)
	}
	text, found := strings.CutSuffix(string(data), "\n")
	if found {
		text = strings.TrimSuffix(text, "\r")
	}
	if text == "" {
		return Secret{}, bad("write the secret into it", "the file %s is empty", file)
	}
	return NewSecret(text), problem{}
}

// minMACKey bounds a MAC key from below, in bytes. HMAC-SHA256 asks for 32 (RFC
// 7518 section 3.2). Authorities that issue fewer exist; a key that was cut is
// shorter still.
const minMACKey = 16

// macKeyFile returns the key of an external account binding, in base64url
// without padding. Authorities issue it in either alphabet, padded or not.
func (l *loader) macKeyFile(file string) (Secret, problem) {
	secret, p := l.secretFile(file)
	if p.text != "" {
		return secret, p
	}
	text := strings.TrimRight(strings.TrimSpace(secret.Reveal()), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	key, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil: // the cause would show a part of the key
		return Secret{}, bad("write the MAC key into it as the authority gave it, on one line", "the file %s holds no key in base64url", file)
	case len(key) < minMACKey:
		return Secret{}, bad("write the whole MAC key into it as the authority gave it", "the key in the file %s has %d bytes only", file, len(key))
	}
	return NewSecret(text), problem{}
}

// readFile returns the content of a file that the configuration names.
func readFile(path string, most int64) ([]byte, problem) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, bad("give the path of a file", "%s is not a file", path)
	}
	if err == nil && info.Size() > most {
		return nil, bad("give the path of the right file", "the file %s is larger than %d KiB", path, most>>10)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	switch {
	case err == nil:
		return data, problem{}
	case errors.Is(err, fs.ErrNotExist):
		return nil, bad("create it, or correct the path", "the file %s does not exist", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, bad("make it readable for the user that runs persona", "the file %s may not be read", path)
	}
	return nil, bad("correct the path", "reading the file %s: %v", path, errors.Unwrap(err))
}
