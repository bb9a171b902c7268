package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/rs/zerolog"
)

// checkInterval is the least time between two looks at the files.
const checkInterval = time.Second

// FilesConfig names the two PEM files.
type FilesConfig struct {
	CertFile string // leaf first, then the intermediate certificates
	KeyFile  string // PKCS#8, PKCS#1 or SEC 1; not encrypted
	// Names are the canonical host names that are served. One that the certificate
	// lacks is logged and has a problem in the Status. Empty: those of the
	// certificate.
	Names []string
	Log   zerolog.Logger
	Now   func() time.Time // nil: time.Now
}

// Files serves the certificate of two files and reads them again when they
// change. It needs no goroutine: each handshake, and each call of Status, looks
// at the files when the last look is a second old.
//
// The certificate is served for every name that a client asks for: which names it
// covers is the operator's choice, and a browser explains a wrong name better
// than a failed handshake.
type Files struct {
	certFile, keyFile string
	served            []string
	log               zerolog.Logger
	now               func() time.Time

	current atomic.Pointer[filePair]
	checked atomic.Int64 // time of the last look, Unix nanoseconds

	mu      sync.Mutex // held while reading; guards problem
	problem string
}

// filePair is a certificate with its key, as two files held it.
type filePair struct {
	cert  tls.Certificate     // Leaf is always set
	names map[string]struct{} // of the certificate, for covers
	state [2]os.FileInfo      // of the files, before they were read
}

// covers reports whether the certificate is for a canonical host name, at the same
// cost for one name in it and for a thousand.
func (p *filePair) covers(name string) bool {
	_, found := p.names[name]
	if _, parent, ok := strings.Cut(name, "."); !found && ok {
		_, found = p.names["*."+parent]
	}
	return found
}

// fileFault is a fault of one of the files and what can be done about it.
type fileFault struct {
	err  error
	hint string
}

func (e *fileFault) Error() string { return e.err.Error() }
func (e *fileFault) Unwrap() error { return e.err }

// Hint returns what the operator can do about the fault.
func (e *fileFault) Hint() string { return e.hint }

// NewFiles reads both files. Its errors name the file and the cause, and carry
// the cure as Hint.
func NewFiles(c FilesConfig) (*Files, error) {
	f := &Files{certFile: c.CertFile, keyFile: c.KeyFile, served: c.Names, log: c.Log, now: c.Now}
	if f.now == nil {
		f.now = time.Now
	}
	if err := f.read(); err != nil {
		return nil, err
	}
	f.checked.Store(f.now().UnixNano())
	return f, nil
}

// TLSConfig returns the configuration for the TLS listener.
func (f *Files) TLSConfig() *tls.Config {
	return newTLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &f.look().cert, nil })
}

// HasCertificate returns true: a name that the certificate lacks is answered with
// the browser's warning, never in clear text.
func (f *Files) HasCertificate(string) bool { return true }

// HandleHTTPChallenge returns false: no certificate is ordered.
func (f *Files) HandleHTTPChallenge(http.ResponseWriter, *http.Request) bool { return false }

// Close does nothing.
func (f *Files) Close() {}

// Status returns the state of each name that is served.
func (f *Files) Status() []Status {
	pair, problem := f.look(), f.lastProblem()
	names := f.served
	if len(names) == 0 {
		names = leafNames(pair.cert.Leaf)
	}
	all := make([]Status, len(names))
	for i, name := range names {
		all[i] = Status{Name: name, NotAfter: pair.cert.Leaf.NotAfter, Problem: problem}
		if problem == "" && !pair.covers(name) {
			all[i].Problem = "the certificate of tls.cert_file is not for this name"
		}
	}
	return all
}

// lastProblem returns why changed files are not in use, "" when they are.
func (f *Files) lastProblem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problem
}

// look returns the pair in use, after a look at the files if the last one is a
// second old. A pair that cannot be used leaves the old one in use;
// it is read again at each look, because the two files are rarely replaced at the
// same instant. Each problem is logged once.
func (f *Files) look() *filePair {
	now, last := f.now().UnixNano(), f.checked.Load()
	// A negative time means that the clock was set back: look.
	due := now < last || time.Duration(now-last) >= checkInterval
	if due && f.checked.CompareAndSwap(last, now) { // else another handshake looks
		f.reload()
	}
	return f.current.Load()
}

func (f *Files) reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.current.Load()
	if !changed(old.state[0], f.certFile) && !changed(old.state[1], f.keyFile) {
		f.problem = ""
		return
	}
	err := f.read()
	if err == nil {
		f.problem = ""
		leaf := f.current.Load().cert.Leaf
		f.log.Info().Str("cert_file", f.certFile).Strs("names", leafNames(leaf)).
			Time("not_after", leaf.NotAfter).Msg("certificate files changed; serving the new certificate")
		return
	}
	if err.Error() == f.problem {
		return
	}
	f.problem = err.Error()
	f.log.Error().Err(err).Str("hint", err.hint).Time("not_after", old.cert.Leaf.NotAfter).
		Msg("certificate files changed but cannot be used; still serving the old certificate")
}

// changed reports whether a file is another than the one read, or cannot be
// looked at. It follows symbolic links, so that it sees the swap of a link by which
// certbot and Kubernetes replace a pair.
func changed(then os.FileInfo, name string) bool {
	now, err := os.Stat(name)
	return err != nil || !os.SameFile(then, now) || !then.ModTime().Equal(now.ModTime()) || then.Size() != now.Size()
}

// read takes the certificate and the key of the files into use.
func (f *Files) read() *fileFault {
	var pair filePair
	var contents [2][]byte
	for i, name := range []string{f.certFile, f.keyFile} {
		// The state comes first: a change in between is then seen by the next look.
		info, err := os.Stat(name)
		if err == nil {
			contents[i], err = os.ReadFile(name)
		}
		if err != nil {
			return unreadable(err)
		}
		pair.state[i] = info
	}
	var err error
	if pair.cert, err = tls.X509KeyPair(contents[0], contents[1]); err != nil {
		return f.explain(contents[0], contents[1], err)
	}
	pair.names = make(map[string]struct{})
	for _, name := range leafNames(pair.cert.Leaf) {
		pair.names[strings.ToLower(name)] = struct{}{}
	}
	f.current.Store(&pair)
	leaf, now := pair.cert.Leaf, f.now()
	switch {
	case now.After(leaf.NotAfter):
		f.log.Warn().Str("cert_file", f.certFile).Time("not_after", leaf.NotAfter).
			Str("hint", "replace the files; no restart is needed").Msg("the certificate has expired")
	case now.Before(leaf.NotBefore):
		f.log.Warn().Str("cert_file", f.certFile).Time("not_before", leaf.NotBefore).
			Str("hint", "check this machine's clock").Msg("the certificate is not valid yet")
	}
	lacking := slices.DeleteFunc(slices.Clone(f.served), pair.covers)
	if len(lacking) > 0 {
		f.log.Warn().Str("cert_file", f.certFile).Strs("names", lacking).
			Str("hint", "put a certificate for all of them into the file, or take them out of domains").
			Msg("the certificate is not for all names that are served")
	}
	return nil
}

func unreadable(err error) *fileFault {
	fault := &fileFault{fmt.Errorf("reading the certificate files: %w", err), "the file must be readable"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fault.hint = "check the path; in a container, that it is mounted"
	case errors.Is(err, fs.ErrPermission):
		fault.hint = "let the user that persona runs as read the file"
	}
	return fault
}

// explain finds out which of the two files keeps them from being used. It never
// repeats what is in the key file.
func (f *Files) explain(certPEM, keyPEM []byte, cause error) *fileFault {
	certFault := func(err error) *fileFault {
		return &fileFault{
			fmt.Errorf("reading the certificate %s: %w", f.certFile, err),
			"the file must be PEM: the certificate of the host first, then the intermediate certificates",
		}
	}
	keyFault := func(text string) *fileFault {
		return &fileFault{
			fmt.Errorf("reading the key %s: %s", f.keyFile, text),
			"the file must be an unencrypted PEM key; openssl pkey -in FILE -out NEWFILE takes off a passphrase",
		}
	}
	cert := findPEM(certPEM, "CERTIFICATE")
	if cert == nil {
		return certFault(errors.New("no PEM block CERTIFICATE in it"))
	}
	if _, err := x509.ParseCertificate(cert.Bytes); err != nil {
		return certFault(err)
	}
	key := findPEM(keyPEM, "PRIVATE KEY")
	switch {
	case key == nil:
		return keyFault("no PEM block PRIVATE KEY in it")
	case key.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(key.Headers["Proc-Type"], "ENCRYPTED"):
		return keyFault("the key is encrypted")
	}
	if _, err := certmagic.PEMDecodePrivateKey(pem.EncodeToMemory(key)); err != nil {
		return keyFault("the key is damaged or of an unknown kind")
	}
	return &fileFault{
		fmt.Errorf("the key %s is not the key of the certificate %s: %w", f.keyFile, f.certFile, cause),
		"put the two files that belong together into place",
	}
}

// findPEM returns the first block whose type ends in what, passing over others
// such as EC PARAMETERS.
func findPEM(data []byte, what string) *pem.Block {
	for {
		block, rest := pem.Decode(data)
		if block == nil || strings.HasSuffix(block.Type, what) {
			return block
		}
		data = rest
	}
}

// leafNames returns the DNS names and IP addresses in a certificate.
func leafNames(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
