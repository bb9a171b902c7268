package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
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
	// without asking: who configures it has agreed to them.
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

	// Public reports whether an address is one of the public Internet: a machine
	// that has none cannot tell whether a name points to it; nil: all are.
	Public func(netip.Addr) bool

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
		c.LocalAddrs = InterfaceAddrs
	}
	if c.Public == nil {
		c.Public = func(netip.Addr) bool { return true }
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
	public     func(netip.Addr) bool
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
		public:     c.Public,
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
	a.orders = orders{
		storage: c.Storage, folder: path.Join(ordersFolder, certmagic.StorageKeys.Safe(a.issuer.IssuerKey())),
		now: c.Now, log: c.Log,
	}
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
	// Without an address certmagic would guess one: it would look in its global
	// state and in the storage, where it takes the half-written account of another
	// name's first order for the address "default", which every server refuses
	// until the program restarts; and a foreground operation would ask on the
	// terminal. A space is no reason to guess, and is trimmed before the account
	// is made, which then has no contact.
	email := c.Email
	if email == "" {
		email = " "
	}
	var account *acme.EAB
	if c.EABKeyID != "" {
		account = &acme.EAB{KeyID: c.EABKeyID, MACKey: c.EABMACKey}
	}
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA:                      a.directory,
		Email:                   email,
		Agreed:                  true,
		ExternalAccount:         account,
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
