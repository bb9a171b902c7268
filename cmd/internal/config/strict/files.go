package strict

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"persona-sidecar/cmd/internal/config/kind"
)

// path returns a path as the program can open it: relative to the folder of the
// file that it is written in.
func (r *Reader) path(p place) string {
	path := p.node.Value
	if path == "" || filepath.IsAbs(path) || p.line == 0 {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// roots returns the certificates of a PEM file. A file is read once.
func (r *Reader) roots(file string) (*x509.CertPool, kind.Problem) {
	if pool, read := r.pools[file]; read {
		return pool, kind.Problem{}
	}
	pool := x509.NewCertPool()
	if p := addRoots(pool, file); p.Text != "" {
		return nil, p
	}
	r.pools[file] = pool
	return pool, kind.Problem{}
}

// moreRoots returns the system's roots and the certificates of a PEM file.
func moreRoots(file string) (*x509.CertPool, kind.Problem) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, kind.Bad("install them, as the package ca-certificates does", "reading the system's root certificates: %v", err)
	}
	return pool, addRoots(pool, file)
}

// ReadRoots returns the system's root certificates and those of a PEM file, for
// files that are named outside of the configuration. The error is [Faults].
func ReadRoots(file string) (*x509.CertPool, error) {
	pool, p := moreRoots(file)
	if p.Text != "" {
		return nil, Faults{{Problem: p.Text, Cure: p.Cure}}
	}
	return pool, nil
}

func addRoots(pool *x509.CertPool, file string) kind.Problem {
	data, p := readFile(file, MaxFile)
	if p.Text == "" && !pool.AppendCertsFromPEM(data) {
		p = kind.Bad("give certificates in PEM form: -----BEGIN CERTIFICATE-----", "the file %s holds no certificate", file)
	}
	return p
}

// readFile returns the content of a file that the configuration names.
func readFile(path string, most int64) ([]byte, kind.Problem) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, kind.Bad("give the path of a file", "%s is not a file", path)
	}
	if err == nil && info.Size() > most {
		return nil, kind.Bad("give the path of the right file", "the file %s is larger than %d KiB", path, most>>10)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	switch {
	case err == nil:
		return data, kind.Problem{}
	case errors.Is(err, fs.ErrNotExist):
		return nil, kind.Bad("create it, or correct the path", "the file %s does not exist", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, kind.Bad("make it readable for the user that runs persona", "the file %s may not be read", path)
	}
	return nil, kind.Bad("correct the path", "reading the file %s: %v", path, errors.Unwrap(err))
}
