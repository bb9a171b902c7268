package ldapauth

import (
	"context"
	"crypto/x509"
	"time"

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
)

// Config describes one directory. Name, URLs, BaseDN and Schema are required.
type Config struct {
	// Name is what the configuration calls the directory; it goes into every
	// Person and every error.
	Name string
	// URLs are servers with the same content, ldap://host[:port] or
	// ldaps://host[:port], the preferred one first.
	URLs []string
	// StartTLS encrypts connections of ldap:// URLs before anything is said.
	StartTLS bool
	// InsecurePlaintext allows ldap:// without StartTLS: passwords cross the
	// network in clear.
	InsecurePlaintext bool
	// Roots are the CAs that may sign the servers' certificates; nil: the
	// system's.
	Roots *x509.CertPool
	// BindDN and BindPassword are the service account that searches. Both
	// empty: anonymous searches.
	BindDN       string
	BindPassword Secret
	// BaseDN is where people are searched, with everything below it.
	BaseDN string
	Schema Schema
	// Domains are the mail domains whose addresses are kept, compared exactly.
	Domains []string
	// Gate is asked between the search and the bind, with the id of the entry
	// found; false answers Throttled without trying the password. Nil: always
	// true.
	Gate func(ctx context.Context, id string) bool
	// Timeout bounds one call, all servers together; zero: DefaultTimeout.
	Timeout time.Duration
	// RefusalTime is the time that every refusal takes at least, so that an
	// unknown name cannot be told from a wrong password; zero:
	// DefaultRefusalTime.
	RefusalTime time.Duration
	// MaxBinds and MaxSearches bound the operations in flight; zero: defaults.
	MaxBinds, MaxSearches int
	// Now is the clock for account expiry; nil: time.Now.
	Now func() time.Time
	Log zerolog.Logger
}
