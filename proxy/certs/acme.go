package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/rs/zerolog"
)

// ACMEConfig says for which names certificates are obtained, where, and on
// which of the program's listeners the challenges are answered.
type ACMEConfig struct {
	// Names are canonical host names: lower case, A-labels, no port. One
	// certificate is obtained for each; no other name ever is.
	Names []string

	// Storage keeps certificates, their keys and the ACME account.
	Storage certmagic.Storage

	// Directory is the URL of the ACME server's directory (RFC 8555 section
	// 7.1.1); empty is Let's Encrypt. The terms of the server are agreed to
	// without asking: whoever configures it has agreed to them.
	Directory string

	// Roots are trusted when talking to Directory; nil: those of the system.
	Roots *x509.CertPool

	// EABKeyID and EABMACKey bind the account to one that the operator has with
	// the ACME server (external account binding, RFC 8555 section 7.3.4). The MAC
	// key is in base64url without padding. Both may be empty.
	EABKeyID  string
	EABMACKey string

	// CertFile and KeyFile are a certificate of the operator's own, as in
	// FilesConfig, that is served for each name which has none by ACME yet. Both
	// may be empty.
	CertFile string
	KeyFile  string

	// Email is the contact of the ACME account; may be empty.
	Email string

	// ListenHost, HTTPPort and TLSALPNPort name the listeners that are already
	// open when Start is called, with their actual ports, which need not be 80
	// and 443. Where nothing listens there, certmagic would open a listener of
	// its own. ListenHost is the host both are bound to, empty for all
	// addresses.
	//
	// HTTPPort is the listener whose requests reach HandleHTTPChallenge, and
	// TLSALPNPort the one that uses TLSConfig; 0 turns the challenge off. At
	// least one must be on.
	ListenHost  string
	HTTPPort    int
	TLSALPNPort int

	Log zerolog.Logger

	// RetryDelay gives the pause after the given number of failures in a row
	// (1 or more) to obtain a first certificate; nil: RetryDelay.
	RetryDelay func(failures int) time.Duration

	// RenewalWindow is the share of its lifetime that a certificate has left
	// when it is renewed, where the ACME server suggests no time itself (RFC
	// 9773); 0: a third. An emergency renewal happens at the latest five
	// RenewalChecks before the end.
	RenewalWindow float64

	// RenewalCheck is how often it is seen whether a renewal is due, and how
	// often a failed one may be tried again; 0: every 10 minutes. It must be
	// far below the lifetime of the certificates.
	RenewalCheck time.Duration

	// Lookup resolves a name, to tell the operator where a name points that
	// gets no certificate; nil: the DNS of the system.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)

	// LocalAddrs lists the addresses of this machine, to tell whether a name
	// points here; nil: those of its network interfaces.
	LocalAddrs func() ([]netip.Addr, error)

	// Now is the clock; nil: time.Now. certmagic has its own.
	Now func() time.Time
}

func (c *ACMEConfig) setDefaults() {
	if c.Directory == "" {
		c.Directory = certmagic.LetsEncryptProductionCA
	}
	if c.RetryDelay == nil {
		c.RetryDelay = RetryDelay
	}
	if c.Lookup == nil {
		c.Lookup = lookupDNS
	}
	if c.LocalAddrs == nil {
		c.LocalAddrs = interfaceAddrs
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// ACME obtains certificates, keeps them renewed and serves them.
// Make one with NewACME, then Start it, and Close it in the end.
type ACME struct {
	log        zerolog.Logger
	directory  string
	names      []string
	states     map[string]*nameState // never changes after NewACME
	retryDelay func(int) time.Duration
	lookup     func(context.Context, string) ([]netip.Addr, error)
	localAddrs func() ([]netip.Addr, error)
	now        func() time.Time
	orders     orders
	own        *Files // nil: none

	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer

	work   sync.WaitGroup
	mu     sync.Mutex // guards cancel and closed
	cancel context.CancelFunc
	closed bool
}

// NewACME prepares an ACME and looks into the storage, without a lock, for
// which names a certificate was ever stored. It never talks to the ACME server.
func NewACME(ctx context.Context, c ACMEConfig) (*ACME, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c.setDefaults()
	a := &ACME{
		log:        c.Log,
		directory:  c.Directory,
		states:     make(map[string]*nameState, len(c.Names)),
		retryDelay: c.RetryDelay,
		lookup:     c.Lookup,
		localAddrs: c.LocalAddrs,
		now:        c.Now,
	}
	for _, name := range c.Names {
		if a.states[name] == nil {
			a.states[name] = new(nameState)
			a.names = append(a.names, name)
		}
	}
	a.build(c)
	for _, name := range a.names {
		a.states[name].stored.Store(a.isStored(ctx, name))
	}
	a.orders = newOrders(c.Storage, a.issuer.IssuerKey(), c.Now, c.Log)
	if err := a.openOwn(c); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (c ACMEConfig) validate() error {
	switch {
	case len(c.Names) == 0:
		return errors.New("obtaining certificates: no host names")
	case slices.Contains(c.Names, ""):
		return errors.New("obtaining certificates: an empty host name")
	case c.Storage == nil:
		return errors.New("obtaining certificates: no storage")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("obtaining certificates: of the certificate of your own and its key one is missing")
	case (c.EABKeyID == "") != (c.EABMACKey == ""):
		return errors.New("obtaining certificates: of the external account's key and its identifier one is missing")
	case c.HTTPPort == 0 && c.TLSALPNPort == 0:
		return errors.New("obtaining certificates: neither an HTTP nor a TLS listener can answer the ACME server's challenges")
	case c.RenewalWindow < 0 || c.RenewalWindow >= 1:
		return fmt.Errorf("obtaining certificates: renewal window %v is not a share of a lifetime", c.RenewalWindow)
	}
	return nil
}

// build makes certmagic's parts. Every field that certmagic would fill from its
// package-level defaults is set here, loggers first of all.
func (a *ACME) build(c ACMEConfig) {
	zlog := newZapLogger(c.Log)
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return a.config, nil
		},
		RenewCheckInterval: c.RenewalCheck,
		Logger:             zlog,
	})
	window := c.RenewalWindow
	if window == 0 {
		window = certmagic.DefaultRenewalWindowRatio
	}
	a.config = certmagic.New(a.cache, certmagic.Config{
		RenewalWindowRatio: window,
		KeySource:          certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		Storage:            c.Storage,
		Issuers:            []certmagic.Issuer{}, // nil would take the package's default
		OnEvent:            a.onEvent,
		ShouldEmitFunc:     func(event string) bool { return event != "tls_get_certificate" },
		Logger:             zlog,
	})
	a.config.OnDemand = nil
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA:                      a.directory,
		Email:                   accountEmail(c.Email),
		Agreed:                  true,
		ExternalAccount:         externalAccount(c),
		TrustedRoots:            c.Roots,
		ListenHost:              c.ListenHost,
		AltHTTPPort:             c.HTTPPort,
		AltTLSALPNPort:          c.TLSALPNPort,
		DisableHTTPChallenge:    c.HTTPPort == 0,
		DisableTLSALPNChallenge: c.TLSALPNPort == 0,
		HTTPProxy:               http.ProxyFromEnvironment,
		Logger:                  zlog,
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
}

func externalAccount(c ACMEConfig) *acme.EAB {
	if c.EABKeyID == "" {
		return nil
	}
	return &acme.EAB{KeyID: c.EABKeyID, MACKey: c.EABMACKey}
}

// accountEmail keeps certmagic from guessing where no address is configured. It
// would look for one in its global state and in the storage, where it takes the
// half-written account of another name's first order for the address "default",
// which every server refuses until the program restarts; and a foreground
// operation would ask on the terminal. A space is no reason to guess, and
// is trimmed before the account is made, which then has no contact.
func accountEmail(configured string) string {
	if configured == "" {
		return " "
	}
	return configured
}

// TLSConfig returns the configuration for the TLS listener. A handshake for a
// name that is not configured fails with the alert unrecognized_name.
func (a *ACME) TLSConfig() *tls.Config {
	if a.issuer.DisableTLSALPNChallenge {
		return newTLSConfig(a.certificate)
	}
	return newTLSConfig(a.certificate, acmez.ACMETLS1Protocol)
}

// certificate is the GetCertificate of TLSConfig.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := canonicalName(hello.ServerName)
	if a.states[name] == nil {
		// No certificate and no error: crypto/tls answers unrecognized_name.
		// certmagic is not asked at all, so that strangers' names neither
		// reach the storage nor the log.
		return nil, nil
	}
	if a.servesOwn(name) && !isChallenge(hello) {
		return a.own.certificate(), nil
	}
	return a.config.GetCertificate(hello)
}

// HandleHTTPChallenge answers the request and returns true when it is the
// HTTP-01 challenge (RFC 8555 section 8.3) of an order under way; otherwise it
// returns false and has written nothing.
func (a *ACME) HandleHTTPChallenge(w http.ResponseWriter, r *http.Request) bool {
	if !certmagic.LooksLikeHTTPChallenge(r) || a.states[canonicalName(hostOnly(r.Host))] == nil {
		return false
	}
	return a.issuer.HandleHTTPChallenge(w, r)
}

// HasCertificate reports whether a usable certificate was ever stored for the
// canonical host name, or the operator's own is for it. It costs a map access, or
// a comparison of names.
func (a *ACME) HasCertificate(name string) bool {
	state := a.states[name]
	return state != nil && (state.stored.Load() || a.own != nil && a.own.HasCertificate(name))
}

// Status returns the state of each name, in the order of ACMEConfig.Names.
func (a *ACME) Status() []Status {
	all := make([]Status, len(a.names))
	for i, name := range a.names {
		problem, retry := a.states[name].trouble()
		all[i] = Status{Name: name, NotAfter: a.notAfter(name), Problem: problem, Retry: retry}
		if a.servesOwn(name) {
			all[i] = a.ownStatus(all[i])
		}
	}
	return all
}

// notAfter returns the latest end of validity among the certificates in use.
func (a *ACME) notAfter(name string) time.Time {
	var latest time.Time
	for _, cert := range a.cache.AllMatchingCertificates(name) {
		if cert.Leaf != nil && cert.Leaf.NotAfter.After(latest) {
			latest = cert.Leaf.NotAfter
		}
	}
	return latest
}
