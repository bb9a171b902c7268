package check

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/config"
)

// World is what an Examiner looks at the world with. All fields but Roots are
// required.
type World struct {
	Now      func() time.Time
	Rand     io.Reader // for the key of a sign-in
	Log      zerolog.Logger
	Resolver Resolver
	// Dial opens a TCP connection: for what outsiders ask, to an IP address and
	// port; to a host name where the program itself connects (the website, the
	// directory) or [Options.Resolve] holds one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Interfaces returns the IP addresses of this machine.
	Interfaces func() ([]netip.Addr, error)
	// Roots are the CAs that outsiders trust for HTTPS; nil: the system's.
	Roots *x509.CertPool
}

// Resolver asks DNS.
type Resolver interface {
	// Addresses returns the A and AAAA records of a host. That there is no such
	// name is a *net.DNSError with IsNotFound.
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
	// CAA returns the CAA records that hold for a host: its own, or those of
	// the closest name above it that has any (RFC 8659 section 3), and that
	// name. No records and no error: any CA may issue.
	CAA(ctx context.Context, host string) (records []CAA, at string, err error)
}

// CAA is a Certification Authority Authorization record (RFC 8659).
type CAA struct {
	Critical   bool
	Tag, Value string
}

// Options say what to look at.
type Options struct {
	// Config is the own configuration; nil: there is none, everybody is foreign.
	Config *config.Config
	// Source names where Config came from, a file's path or the environment.
	Source string
	// Resolve is where our names are found instead of where DNS says.
	Resolve Resolve
}

// Examiner plans what to look at and remembers what was seen, so that later
// steps can lean on it. It serves one run, not several goroutines.
type Examiner struct {
	World
	Options

	hosts []config.Host
	web   *web
	keys  ownKeys
	acme  acmeServer
}

// New returns an Examiner.
func New(world World, options Options) *Examiner {
	e := &Examiner{World: world, Options: options}
	if e.Config != nil {
		e.hosts = e.Config.Hosts()
		e.Resolve = e.Resolve.withPlain(e.Config.Listen.HTTP)
	}
	e.web = newWeb(e)
	return e
}

// ours says whether a host is one of the configuration's.
func (e *Examiner) ours(name string) (config.Host, bool) {
	for _, host := range e.hosts {
		if host.Name == name {
			return host, true
		}
	}
	return config.Host{}, false
}

// publicPort is the port at which the world finds our hosts.
func (e *Examiner) publicPort() int {
	if e.Config == nil || e.Config.Listen.PublicHTTPS == 0 {
		return 443
	}
	return e.Config.Listen.PublicHTTPS
}
