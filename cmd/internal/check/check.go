package check

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy/certs"
)

// agent is the User-Agent of all requests.
const agent = "persona-check"

// Env is the clock, the network and the machine that a Checker uses. All fields
// but Roots are required.
type Env struct {
	Now      func() time.Time
	Rand     io.Reader // for the key of a sign-in
	Log      zerolog.Logger
	Resolver network.Resolver
	// Dial opens a TCP connection: for what outsiders ask, to an IP address and
	// port; to a host name where the program itself connects (the website, the
	// directory) or [Options.Resolve] holds one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Interfaces returns the IP addresses of this machine.
	Interfaces func() ([]netip.Addr, error)
	// Directory is the directory called name as the program opens it, but for
	// Now, Log and Observe: package translate's Directory.
	Directory func(c *config.Config, hosts []config.Host, name string) (ldapauth.Config, error)
	// Roots are the CAs that outsiders trust for HTTPS; nil: the system's.
	Roots *x509.CertPool
}

// SystemEnv is this machine, with the system's roots. The argument is Env.Directory.
func SystemEnv(directory func(*config.Config, []config.Host, string) (ldapauth.Config, error)) Env {
	return Env{
		Now:        time.Now,
		Rand:       rand.Reader,
		Log:        zerolog.Nop(), // the findings have it all
		Resolver:   network.DNS{},
		Dial:       network.DNS{}.Dial,
		Interfaces: certs.InterfaceAddrs,
		Directory:  directory,
	}
}

// Options are what to check.
type Options struct {
	// Config is the configuration; nil: there is none, every domain is foreign.
	Config *config.Config
	// Source names where Config came from, a file's path or the environment.
	Source string
	// Resolve is where our names are found instead of where DNS says.
	Resolve network.Resolve
}

// Checker plans the steps and keeps what they found, for later steps. It serves
// one run and is not safe for concurrent use.
type Checker struct {
	Env
	Options

	hosts  []config.Host
	dialer network.Dialer
	client visitor.Client // an outsider's
	clock  network.Clock
	keys   ownKeys
	// down says of a website, by its URL, why it gives no answer; failing are those,
	// by nameOf, that show visitors no page.
	down    map[string]*visitor.Fault
	failing map[string]bool
	// identities are the names by which CAA records allow the ACME server.
	identities []string
}

// New returns a Checker.
func New(env Env, options Options) *Checker {
	c := &Checker{Env: env, Options: options, down: map[string]*visitor.Fault{}, failing: map[string]bool{}}
	if c.Config != nil {
		c.hosts = c.Config.Hosts()
		c.Resolve = c.Resolve.WithPlain(c.Config.Listen.HTTP)
	}
	c.clock = network.Clock{Now: c.Now, Own: func(host string) bool { _, own := c.ours(host); return own }}
	c.dialer = network.Dialer{Resolver: c.Resolver, Dial: c.Dial, Resolve: c.Resolve, Names: map[string]bool{}}
	for _, host := range c.hosts {
		c.dialer.Names[host.Name] = true
	}
	c.client = c.clientFor(c.Roots)
	return c
}

// clientFor returns an outsider's client that trusts other roots.
func (c *Checker) clientFor(roots *x509.CertPool) visitor.Client {
	return visitor.Client{HTTP: visitor.NewHTTP(c.dialer.DialContext, roots, c.Now), UserAgent: agent, Observe: c.clock.Note}
}

// unreached makes a finding of an error of asking or connecting.
func (c *Checker) unreached(err error, host string) report.Finding {
	fault := visitor.Explain(err, host)
	finding := report.Error("", fault, "")
	if _, own := c.ours(host); own && fault.Kind == visitor.Refused {
		finding.Hint = "is the program running, and does the port lead to it?"
	}
	return finding
}

// ours returns a host of the configuration by its name.
func (c *Checker) ours(name string) (config.Host, bool) {
	for _, host := range c.hosts {
		if host.Name == name {
			return host, true
		}
	}
	return config.Host{}, false
}

// publicPort is the port at which outsiders find our hosts.
func (c *Checker) publicPort() int {
	if c.Config == nil || c.Config.Listen.PublicHTTPS == 0 {
		return 443
	}
	return c.Config.Listen.PublicHTTPS
}

func (c *Checker) usesACME() bool { return c.Config != nil && c.Config.TLS.Mode == config.ModeACME }
