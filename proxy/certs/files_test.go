package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/proxytest"
)

// clock is a clock that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// pair is a self-signed certificate and its key, both PEM.
type pair struct {
	cert, key []byte
	leaf      *x509.Certificate
}

func newPair(t testing.TB, signer crypto.Signer, notAfter time.Time, names ...string) pair {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		DNSNames:     names,
		NotBefore:    notAfter.Add(-90 * 24 * time.Hour),
		NotAfter:     notAfter,
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		leaf: leaf,
	}
}

func ecdsaPair(t testing.TB, names ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, key, time.Now().Add(24*time.Hour), names...)
}

func (p pair) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.leaf)
	return pool
}

// files are the two files in a directory of their own.
type files struct{ cert, key string }

func newFiles(t *testing.T, p pair) files {
	t.Helper()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	f.write(t, p.cert, p.key)
	return f
}

func (f files) write(t *testing.T, cert, key []byte) {
	t.Helper()
	for name, data := range map[string][]byte{f.cert: cert, f.key: key} {
		if err := os.WriteFile(name+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
}

// serveTLS serves nothing but handshakes, and returns the address.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	return proxytest.Serve(t, &http.Server{Handler: http.NotFoundHandler(), TLSConfig: config})
}

func TestFiles(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[string]pair{
		"ECDSA": ecdsaPair(t, "example.test", "*.example.test"),
		"RSA":   newPair(t, rsaKey, time.Now().Add(time.Hour), "example.test", "*.example.test"),
	}
	for kind, p := range pairs {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			where := newFiles(t, p)
			f, err := certs.NewFiles(certs.FilesConfig{CertFile: where.cert, KeyFile: where.key})
			if err != nil {
				t.Fatal(err)
			}
			checkPolicy(t, serveTLS(t, f.TLSConfig()), "example.test", p.roots())
			status := f.Status()
			if len(status) != 2 || status[0].Name != "example.test" || !status[0].NotAfter.Equal(p.leaf.NotAfter) || status[0].Problem != "" {
				t.Errorf("status %+v", status)
			}
		})
	}
}

// TestFilesForOtherNames: a served name that the certificate lacks is logged and has
// a problem, and is not served in clear text.
func TestFilesForOtherNames(t *testing.T) {
	t.Parallel()
	where, now := newFiles(t, ecdsaPair(t, "Example.test", "*.example.test", "other.example")), newClock()
	served := []string{"example.test", "www.example.test", "a.b.example.test", "sub.other.example", "other.test"}
	var text proxytest.Log
	f, err := certs.NewFiles(certs.FilesConfig{CertFile: where.cert, KeyFile: where.key, Names: served, Log: text.Logger(), Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, "log", text.String(), `"level":"warn"`, `"names":["a.b.example.test","sub.other.example","other.test"]`, `"hint"`)
	for i, status := range f.Status() {
		if lacks := i > 1; status.Name != served[i] || lacks != strings.Contains(status.Problem, "not for this name") || status.NotAfter.IsZero() {
			t.Errorf("status %+v", status)
		}
		if !f.HasCertificate(status.Name) {
			t.Errorf("%s is served in clear text", status.Name)
		}
	}
	all := ecdsaPair(t, served...)
	where.write(t, all.cert, all.key)
	now.add(time.Second)
	for _, status := range f.Status() {
		if status.Problem != "" {
			t.Errorf("with a certificate for all: status %+v", status)
		}
	}
	if n := strings.Count(text.String(), "not for all names"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
}

// TestFilesECParameters: the file that "openssl ecparam -genkey" writes, with a
// block before the key, and everything in one file.
func TestFilesECParameters(t *testing.T) {
	t.Parallel()
	p := ecdsaPair(t, "example.test")
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	p.key = append(append(parameters, p.cert...), p.key...)
	where := newFiles(t, p)
	if _, err := certs.NewFiles(certs.FilesConfig{CertFile: where.key, KeyFile: where.key}); err != nil {
		t.Error(err)
	}
}

// hintOf returns what an error says can be done about it.
func hintOf(err error) string {
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return hinted.Hint()
	}
	return ""
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	one, two := ecdsaPair(t, "example.test"), ecdsaPair(t, "example.test")
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1, 2, 3}})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte{1}})
	damaged := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret-bytes")})
	tests := map[string]struct {
		cert, key []byte
		want      string
	}{
		"key of another certificate": {one.cert, two.key, "is not the key of the certificate"},
		"swapped":                    {one.key, one.cert, "no PEM block CERTIFICATE"},
		"certificate twice":          {one.cert, one.cert, "no PEM block PRIVATE KEY"},
		"empty certificate":          {nil, one.key, "no PEM block CERTIFICATE"},
		"empty key":                  {one.cert, nil, "no PEM block PRIVATE KEY"},
		"binary":                     {[]byte{0, 1, 2}, one.key, "no PEM block CERTIFICATE"},
		"cut certificate":            {one.cert[:len(one.cert)/2], one.key, "no PEM block CERTIFICATE"},
		"encrypted key":              {one.cert, encrypted, "encrypted"},
		"encrypted key of old":       {one.cert, old, "encrypted"},
		"damaged key":                {one.cert, damaged, "damaged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := newFiles(t, pair{cert: test.cert, key: test.key})
			_, err := certs.NewFiles(certs.FilesConfig{CertFile: where.cert, KeyFile: where.key})
			if err == nil {
				t.Fatal("no error")
			}
			mustContain(t, "error", err.Error(), test.want, filepath.Dir(where.cert))
			if hintOf(err) == "" {
				t.Error("no hint")
			}
			if strings.Contains(err.Error(), "secret-bytes") {
				t.Error("key material in the error")
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		where := newFiles(t, one)
		for _, c := range []certs.FilesConfig{
			{CertFile: where.cert + "x", KeyFile: where.key},
			{CertFile: where.cert, KeyFile: where.key + "x"},
		} {
			_, err := certs.NewFiles(c)
			if err == nil {
				t.Fatal("no error")
			}
			mustContain(t, "error", err.Error(), "no such file")
			mustContain(t, "hint", hintOf(err), "check the path")
		}
	})
}

// TestFilesReload: a new pair is served without a restart; a bad one leaves the
// old in place and is logged once.
func TestFilesReload(t *testing.T) {
	t.Parallel()
	one, two := ecdsaPair(t, "example.test"), ecdsaPair(t, "example.test", "new.test")
	where, now := newFiles(t, one), newClock()
	var text proxytest.Log
	f, err := certs.NewFiles(certs.FilesConfig{CertFile: where.cert, KeyFile: where.key, Log: text.Logger(), Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, f.TLSConfig())
	serves := func(p pair) {
		t.Helper()
		if err := dial(address, &tls.Config{ServerName: "example.test", RootCAs: p.roots()}); err != nil {
			t.Errorf("not the certificate expected: %v", err)
		}
	}
	serves(one)

	where.write(t, two.cert, one.key) // the certificate is there, its key not yet
	serves(one)                       // within the second the files are not looked at
	now.add(time.Second)
	serves(one)
	if problem := f.Status()[0].Problem; !strings.Contains(problem, "is not the key of the certificate") {
		t.Errorf("problem %q", problem)
	}
	now.add(time.Second)
	serves(one)
	if n := strings.Count(text.String(), "still serving the old certificate"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, text.String())
	}
	mustContain(t, "log", text.String(), `"level":"error"`, `"hint":"put the two files`, where.key)

	where.write(t, two.cert, two.key)
	now.add(time.Second)
	serves(two)
	if status := f.Status(); len(status) != 2 || status[0].Problem != "" || status[1].Name != "new.test" {
		t.Errorf("after the key came: %+v", status)
	}
	mustContain(t, "log", text.String(), "serving the new certificate")

	if err := os.Remove(where.cert); err != nil {
		t.Fatal(err)
	}
	now.add(time.Second)
	serves(two)
	if problem := f.Status()[0].Problem; !strings.Contains(problem, "no such file") {
		t.Errorf("problem %q", problem)
	}
	now.add(-time.Hour) // the clock is set back
	where.write(t, one.cert, one.key)
	serves(one)
}

// TestFilesLink: the swap of a symbolic link, as certbot and Kubernetes do it.
func TestFilesLink(t *testing.T) {
	t.Parallel()
	one, two := ecdsaPair(t, "example.test"), ecdsaPair(t, "example.test")
	dir, now := t.TempDir(), newClock()
	for name, p := range map[string]pair{"one": one, "two": two} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		files{filepath.Join(dir, name, "tls.crt"), filepath.Join(dir, name, "tls.key")}.write(t, p.cert, p.key)
	}
	current := filepath.Join(dir, "current")
	point := func(to string) {
		t.Helper()
		if err := os.Symlink(to, current+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(current+".new", current); err != nil {
			t.Fatal(err)
		}
	}
	point("one")
	f, err := certs.NewFiles(certs.FilesConfig{
		CertFile: filepath.Join(current, "tls.crt"), KeyFile: filepath.Join(current, "tls.key"), Now: now.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, f.TLSConfig())
	point("two")
	now.add(time.Second)
	if err := dial(address, &tls.Config{ServerName: "example.test", RootCAs: two.roots()}); err != nil {
		t.Errorf("after the swap: %v", err)
	}
}

func TestFilesExpired(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	where := newFiles(t, newPair(t, key, time.Now().Add(-time.Hour), "example.test"))
	var text proxytest.Log
	if _, err := certs.NewFiles(certs.FilesConfig{CertFile: where.cert, KeyFile: where.key, Log: text.Logger()}); err != nil {
		t.Fatal(err)
	}
	mustContain(t, "log", text.String(), `"level":"warn"`, "the certificate has expired", `"hint"`)
}
