package ldapauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/group"
	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/schema"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
	"github.com/rs/zerolog"
)

const (
	// DefaultTimeout bounds one call of Authenticate, Lookup or Ping.
	DefaultTimeout = 10 * time.Second
	// DefaultRefusalTime is how long every refusal takes at least.
	DefaultRefusalTime = 400 * time.Millisecond
	// DefaultMaxBinds is how many passwords are checked at once: a directory
	// answers no faster when more than about two binds a core are waiting.
	DefaultMaxBinds = 8
	// DefaultMaxSearches is how many searches run at once.
	DefaultMaxSearches = 8

	// blindSession is the longest session where a directory still finds those who
	// may no longer sign in, and says so only when they do.
	blindSession = time.Hour
)

// Config describes one directory. Name, URLs or SRV, BaseDNs and Schema are required.
type Config struct {
	// Name is what the configuration calls the directory; it goes into every
	// Person and every error.
	Name string
	// URLs are servers with the same content, ldap://host[:port] or
	// ldaps://host[:port], the preferred one first.
	URLs []string
	// SRV is ldap://domain or ldaps://domain: the servers are those that DNS lists for it (RFC 2782).
	SRV string
	// Resolver looks up the names; nil: the system's.
	Resolver servers.Resolver
	// StartTLS encrypts connections of ldap:// URLs before anything is said.
	StartTLS bool
	// InsecurePlaintext allows ldap:// without StartTLS: passwords cross the
	// network in clear.
	InsecurePlaintext bool
	// Roots are the CAs that may sign the servers' certificates; nil: the
	// system's.
	Roots *x509.CertPool
	// TLSServerName is the name that certificates are checked for, instead of the host that is connected to.
	TLSServerName string
	// ClientCertificate is asked at each handshake for the certificate to show; nil: none.
	ClientCertificate func() (*tls.Certificate, error)
	// BindDN and BindPassword are the service account that searches. Both
	// empty: anonymous searches.
	BindDN       string
	BindPassword Secret
	// ReadPassword reads BindPassword anew, which is done when a server refuses it; nil: it never changes.
	ReadPassword func() (Secret, error)
	// BaseDNs are where people and holders of addresses are searched, with everything below; none contains
	// another. An empty one is the whole of a server with several trees, such as a global catalogue.
	BaseDNs []string
	Schema  schema.Schema
	// Groups says that Person.Groups is wanted: reading them costs searches.
	Groups bool
	// Logins says that Person.Login names people to others. One that another of the people has, too, is left out
	// then: finding that out costs a search.
	Logins bool
	// RequiredGroup is the group that people have to be in, directly or through other
	// groups, by its DN or its cn; "": none.
	RequiredGroup string
	// Domains are the mail domains whose addresses are kept, compared exactly.
	Domains []string
	// Timeout bounds one call, all servers together; zero: DefaultTimeout.
	Timeout time.Duration
	// RefusalTime is the time that every refusal takes at least, so that an
	// unknown name cannot be told from a wrong password; zero:
	// DefaultRefusalTime. It takes a multiple of that, up to four times, while the
	// directory is slow, and until someone has signed in.
	RefusalTime time.Duration
	// MaxBinds and MaxSearches bound the operations in flight; zero: defaults.
	MaxBinds, MaxSearches int
	// Now is the clock for account expiry; nil: time.Now.
	Now func() time.Time
	Log zerolog.Logger
	// Observe is told about each question to the directory when it has ended; nil:
	// none.
	Observe func(op Operation, outcome Outcome, took time.Duration)
}

func (c *Config) setDefaults() {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.RefusalTime == 0 {
		c.RefusalTime = DefaultRefusalTime
	}
	if c.MaxBinds == 0 {
		c.MaxBinds = DefaultMaxBinds
	}
	if c.MaxSearches == 0 {
		c.MaxSearches = DefaultMaxSearches
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Operation, Outcome, time.Duration) {}
	}
}

// validate reports every fault, one a line.
func (c *Config) validate() error {
	faults := []error{c.Schema.Validate()}
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Name == "", "the directory has no name")
	fault(len(c.URLs) > 0 && c.SRV != "", "urls and srv: give one of them")
	fault(len(c.URLs) == 0 && c.SRV == "", "no urls, such as ldaps://ldap.example.com")
	for _, u := range c.URLs {
		faults = append(faults, c.validateURL(u))
	}
	if c.SRV != "" {
		faults = append(faults, c.validateURL(c.SRV))
	}
	faults = append(faults, c.validateBases())
	// Active Directory also takes other forms than a DN ([MS-ADTS] section 5.1.1.1.1).
	if !strings.ContainsAny(c.BindDN, `@\`) || strings.Contains(c.BindDN, "=") {
		faults = append(faults, validateDN("bind_dn", c.BindDN))
	}
	fault(c.BindDN != "" && c.BindPassword == "", "bind_dn without a password: set bind_password_file")
	fault(c.BindDN == "" && c.BindPassword != "", "a bind password without bind_dn")
	fault(strings.Contains(c.RequiredGroup, "=") && !group.IsDN(c.RequiredGroup), "required_group: %q is neither a distinguished name nor a plain name", c.RequiredGroup)
	for _, domain := range c.Domains {
		_, ok := mailbox.ParseDomain(domain)
		fault(!ok, "%q is not a mail domain", domain)
	}
	fault(c.Timeout < 0 || c.RefusalTime < 0, "a negative time")
	fault(c.MaxBinds < 0 || c.MaxSearches < 0, "a negative limit")
	return errors.Join(faults...)
}

func (c *Config) validateURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("one of urls is not a URL, such as ldaps://ldap.example.com") // not shown: it may hold a password
	}
	switch {
	case u.User != nil: // first, and without the text: it may hold a password
		return errors.New("an LDAP URL with a name or password in it: use bind_dn and bind_password_file")
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return fmt.Errorf("%q is not an LDAP URL, ldaps://host or ldap://host", s)
	case u.Hostname() == "":
		return fmt.Errorf("%q names no host", s)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q has more than a host and a port: the base goes into base_dn", s)
	case u.Scheme == "ldap" && !c.StartTLS && !c.InsecurePlaintext:
		return fmt.Errorf("%q would send passwords unencrypted: use ldaps://, or start_tls: true, or allow it with insecure_plaintext: true", s)
	}
	return nil
}

func validateDN(key, dn string) error {
	if _, err := ldap.ParseDN(dn); err != nil {
		return fmt.Errorf("%s: %q is not a distinguished name: %w", key, dn, err)
	}
	return nil
}

// validateBases checks that no entry is below two of the base DNs: it would be found twice.
func (c *Config) validateBases() error {
	if len(c.BaseDNs) == 0 {
		return errors.New("no base_dn, such as dc=example,dc=com")
	}
	var dns []*ldap.DN
	for _, base := range c.BaseDNs {
		if err := validateDN("base_dn", base); err != nil {
			return err
		}
		dn, _ := ldap.ParseDN(base)
		for i, other := range dns {
			if contain(dn, other) || contain(other, dn) {
				return fmt.Errorf("base_dn: %q and %q overlap", c.BaseDNs[i], base)
			}
		}
		if len(dn.RDNs) == 0 && c.Schema.PeopleBase != "" {
			return fmt.Errorf("base_dn: people are in %s of one tree, so the empty name cannot be their base", c.Schema.PeopleBase)
		}
		dns = append(dns, dn)
	}
	return nil
}

// contain reports whether an entry is below a base, or the base itself; case is ignored.
func contain(base, entry *ldap.DN) bool {
	return len(base.RDNs) == 0 || base.EqualFold(entry) || base.AncestorOfFold(entry)
}

// peopleBase returns where the people of a base are: relative to it, unless it already names that place.
func peopleBase(base, relative string) string {
	dn, err := ldap.ParseDN(base)
	place, placeErr := ldap.ParseDN(relative)
	if relative == "" || err != nil || placeErr != nil {
		return base
	}
	for i := range dn.RDNs { // at or below the place
		if rest := dn.RDNs[i:]; len(rest) >= len(place.RDNs) && place.EqualFold(&ldap.DN{RDNs: rest[:len(place.RDNs)]}) {
			return base
		}
	}
	return relative + "," + base
}

// Secret is a password that no format verb, logger or encoder prints.
type Secret = servers.Secret

// Operation is one kind of question to the directory, for measuring.
type Operation string

// The questions that are measured.
const (
	OpSearch Operation = "search" // one search, by the service account
	OpBind   Operation = "bind"   // one password
	OpPing   Operation = "ping"   // the look of Ping
)

// Outcome is how a question ended, for measuring.
type Outcome string

// How a question ends.
const (
	Answered    Outcome = "ok"
	Rejected    Outcome = "refused"     // a bind with a wrong or refused password
	Unavailable Outcome = "unavailable" // no answer from any server, or none that makes sense
)

// observe reports how long a question took, waiting for one of the bounded
// connections included.
func (d *Directory) observe(op Operation, began time.Time, outcome Outcome) {
	d.cfg.Observe(op, outcome, time.Since(began))
}

// answeredOr is the outcome of a question that has no refusal.
func answeredOr(err error) Outcome {
	if err != nil {
		return Unavailable
	}
	return Answered
}

func (v verdict) outcome(err error) Outcome {
	if err == nil && v.status != identity.OK {
		return Rejected
	}
	return answeredOr(err)
}
