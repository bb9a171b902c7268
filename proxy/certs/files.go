package certs

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// checkInterval is the least time between two looks at the files.
const checkInterval = time.Second

// FilesConfig names the two PEM files.
type FilesConfig struct {
	CertFile string // leaf first, then the intermediate certificates
	KeyFile  string // PKCS#8, PKCS#1 or SEC 1; not encrypted
	Log      zerolog.Logger
	Now      func() time.Time // nil: time.Now
}

// Files serves the certificate of two files and reads them again when they
// change. It needs no goroutine: each handshake, and each question for the
// status, looks at the files when the last look is a second old.
//
// The certificate is served whatever name the client asks for: which names it
// covers is the operator's choice, and a browser explains a wrong name better
// than a failed handshake.
type Files struct {
	certFile, keyFile string
	log               zerolog.Logger
	now               func() time.Time

	current atomic.Pointer[filePair]
	checked atomic.Int64 // time of the last look, Unix nanoseconds

	mu      sync.Mutex // held while reading; guards problem
	problem string
}

// NewFiles reads both files. The error names the file, the cause and the cure.
func NewFiles(c FilesConfig) (*Files, error) {
	f := &Files{certFile: c.CertFile, keyFile: c.KeyFile, log: c.Log, now: c.Now}
	if f.now == nil {
		f.now = time.Now
	}
	pair, err := readPair(f.certFile, f.keyFile)
	if err != nil {
		return nil, err
	}
	f.current.Store(pair)
	f.checked.Store(f.now().UnixNano())
	f.warnDates(pair)
	return f, nil
}

// TLSConfig returns the configuration for the TLS listener.
func (f *Files) TLSConfig() *tls.Config {
	return newTLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.certificate(), nil })
}

func (f *Files) certificate() *tls.Certificate {
	f.check()
	return &f.current.Load().cert
}

// HasCertificate reports whether the certificate in use is for the canonical
// host name. It is asked on every plain request and costs a comparison of names.
func (f *Files) HasCertificate(name string) bool {
	f.check()
	return f.current.Load().cert.Leaf.VerifyHostname(name) == nil
}

// Status returns the state of each name in the certificate.
func (f *Files) Status() []Status {
	f.check()
	f.mu.Lock()
	problem := f.problem
	f.mu.Unlock()
	leaf := f.current.Load().cert.Leaf
	names := leafNames(leaf)
	all := make([]Status, len(names))
	for i, name := range names {
		all[i] = Status{Name: name, NotAfter: leaf.NotAfter, Problem: problem}
	}
	return all
}

// check reads the files again if they changed, at most once a second.
func (f *Files) check() {
	now, last := f.now().UnixNano(), f.checked.Load()
	if since := time.Duration(now - last); since >= 0 && since < checkInterval {
		return // a negative time means that the clock was set back: look
	}
	if !f.checked.CompareAndSwap(last, now) {
		return // another handshake looks
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload()
}

// reload takes a changed pair into use. A pair that cannot be used leaves the
// old one in place; it is read again each second until it can, because the two
// files are rarely replaced at the same instant. Each problem is logged once.
func (f *Files) reload() {
	old := f.current.Load()
	if !old.changed(f.certFile, f.keyFile) {
		f.problem = ""
		return
	}
	pair, err := readPair(f.certFile, f.keyFile)
	if err != nil {
		f.report(err, old)
		return
	}
	f.problem = ""
	f.current.Store(pair)
	f.log.Info().Str("cert_file", f.certFile).Strs("names", leafNames(pair.cert.Leaf)).
		Time("not_after", pair.cert.Leaf.NotAfter).Msg("certificate files changed; serving the new certificate")
	f.warnDates(pair)
}

func (f *Files) report(err error, old *filePair) {
	if err.Error() == f.problem {
		return
	}
	f.problem = err.Error()
	event := f.log.Error()
	if fault, ok := errors.AsType[*fileFault](err); ok {
		event = event.AnErr("error", fault.err).Str("hint", fault.hint)
	} else {
		event = event.Err(err)
	}
	event.Time("not_after", old.cert.Leaf.NotAfter).
		Msg("certificate files changed but cannot be used; still serving the old certificate")
}

func (f *Files) warnDates(pair *filePair) {
	leaf, now := pair.cert.Leaf, f.now()
	switch {
	case now.After(leaf.NotAfter):
		f.log.Warn().Str("cert_file", f.certFile).Time("not_after", leaf.NotAfter).
			Str("hint", "replace the files; no restart is needed").Msg("the certificate has expired")
	case now.Before(leaf.NotBefore):
		f.log.Warn().Str("cert_file", f.certFile).Time("not_before", leaf.NotBefore).
			Str("hint", "check this machine's clock").Msg("the certificate is not valid yet")
	}
}
