package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/servers"
)

// directory is what is found out of one directory.
type directory struct {
	*Checker
	name string
	from config.Directory

	settings  ldapauth.Config // as the program has them
	peers     []servers.Peer
	answering bool
	// sample is what some people look like, once some have been found.
	sample ldapauth.Sample
}

// directory is one of the configuration's.
func (c *Checker) directory(name string) (*directory, error) {
	settings, err := c.Env.Directory(c.Config, c.hosts, name)
	settings.Now, settings.Log, settings.Resolver = c.Now, c.Log, lookups{c.Resolver}
	return &directory{Checker: c, name: name, from: c.Config.Directories[name], settings: settings}, err
}

// lookups are those of the program, with the words of this machine's resolver.
type lookups struct{ network.Resolver }

func (l lookups) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return l.Addresses(ctx, host)
}

func (lookups) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return net.DefaultResolver.LookupSRV(ctx, service, proto, name)
}

// Directories plans the steps for the directories of these names, for all without any.
func (c *Checker) Directories(names ...string) []report.Group {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(c.Config.Directories))
	}
	var groups []report.Group
	for _, name := range names {
		groups = append(groups, c.directoryGroup(name))
	}
	return groups
}

// directoryGroup checks one directory: each address of its servers by itself, because one
// that is down hides behind one that answers.
func (c *Checker) directoryGroup(name string) report.Group {
	d, err := c.directory(name)
	group := report.Group{Subject: "directory " + name}
	if err != nil {
		group.Steps = []report.Step{{Name: "preset", Run: func(context.Context) report.Finding { return report.Error("", err, correctSection) }}}
		return group
	}
	group.Steps = append([]report.Step{
		{Name: "reach", Run: d.reachServers},
		{Name: "TLS", Run: d.checkEncryption},
		{Name: "bind and base", Run: d.bindToServers},
	}, d.peopleSteps()...)
	return group
}

// lookTime is how long one address may take for all that is done there: there may be many.
const lookTime = 5 * time.Second

// reachServers looks at every address of every server, for the steps that follow too.
func (d *directory) reachServers(ctx context.Context) report.Finding {
	settings := d.settings
	settings.Timeout = min(cmp.Or(settings.Timeout, lookTime), lookTime)
	opened, err := ldapauth.New(settings)
	if err != nil {
		return report.Error("", err, correctSection)
	}
	defer func() { _ = opened.Close() }()
	d.peers = opened.Peers(ctx)
	var f report.Faults
	var texts []string
	for _, p := range d.peers {
		switch {
		case p.Failed == servers.StepLookup, p.Failed == servers.StepConnect && len(p.Certificates) == 0:
			found := report.Error("", p.Err, "is the directory running, and is urls right?")
			f.Fail(found.Hint, "%s: %s", p.Server, found.Message)
		case p.Connected > 0:
			texts = append(texts, fmt.Sprintf("%s in %s", p.Server, p.Connected.Round(time.Millisecond/10)))
		default:
			texts = append(texts, p.Server)
		}
	}
	return f.Finding("%s", strings.Join(texts, ", "))
}

// soon is how long before its end a certificate is worth a warning.
const soon = 30 * 24 * time.Hour

// checkEncryption looks at how connections are encrypted, and at the certificates.
func (d *directory) checkEncryption(context.Context) report.Finding {
	var f report.Faults
	var texts []string
	for _, p := range d.peers {
		var leaf *x509.Certificate
		of := ""
		if len(p.Certificates) > 0 {
			leaf = p.Certificates[0]
			of = fmt.Sprintf("certificate for %s by %s, valid until %s", namesOf(leaf), issuer(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
		}
		switch {
		case p.Failed == servers.StepConnect && leaf != nil:
			found := report.Error("", p.Err, lookAtItsLog)
			f.Fail(found.Hint, "%s: %s (%s)", p.Server, found.Message, of)
		case p.Failed == servers.StepLookup, p.Failed == servers.StepConnect: // found above
		case p.TLS == nil:
			f.Warn("use ldaps://, or start_tls: true", "%s: passwords cross the network in clear text", p.Server)
		default:
			text := tls.VersionName(p.TLS.Version) + ", " + of
			if d.from.StartTLS && !strings.HasPrefix(p.Server, "ldaps:") {
				text = "StartTLS, " + text
			}
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
			for _, certificate := range p.Certificates {
				if left := certificate.NotAfter.Sub(d.Now()); left < soon {
					f.Warn("have it issued anew: after that no one can sign in", "%s: the certificate of %s ends in %s", p.Server, certificate.Subject, inDays(left))
				}
			}
		}
	}
	if len(texts) == 0 && f.None() {
		return report.Skip("no server is reached")
	}
	return f.Finding("%s", strings.Join(texts, "; "))
}

// namesOf are the names that a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}

// bindToServers tells what became of the service account at the servers that were reached.
func (d *directory) bindToServers(context.Context) report.Finding {
	var f report.Faults
	reached := 0
	for _, p := range d.peers {
		switch p.Failed {
		case servers.StepLookup, servers.StepConnect:
			continue
		case servers.StepBind, servers.StepRead:
			found := report.Error("", p.Err, lookAtItsLog)
			f.Fail(found.Hint, "%s: %s: %s", p.Server, p.Failed, found.Message)
		default:
			d.answering = true
		}
		reached++
	}
	if reached == 0 {
		return report.Skip("no server is reached")
	}
	return f.Finding("as %s; %s can be read", d.account(), d.bases())
}

const (
	correctSection = "correct the directory's section of the configuration"
	lookAtItsLog   = "look at the directory's own log"
)

// account is who searches.
func (d *directory) account() string {
	if d.from.BindDN == "" {
		return "an anonymous client"
	}
	return d.from.BindDN
}

// bases are the entries below which everything is searched.
func (d *directory) bases() string {
	if slices.Contains(d.settings.BaseDNs, "") {
		return "all of the server"
	}
	return strings.Join(d.settings.BaseDNs, " and ")
}
