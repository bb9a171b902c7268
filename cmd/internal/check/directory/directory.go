package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/servers"
)

// Directory is one directory of a configuration, and what the steps have found out of it.
type Directory struct {
	Name     string
	Section  config.Directory // of the configuration
	Settings ldapauth.Config  // as the program has them

	peers     []servers.Peer
	answering bool
	// sample is what some people look like, once some have been found.
	sample ldapauth.Sample
}

// Group plans the steps: each address of the servers by itself, because one
// that is down hides behind one that answers, then the people.
func (d *Directory) Group() report.Group {
	steps := []report.Step{
		{Name: "reach", Run: d.reachServers},
		{Name: "TLS", Run: d.checkEncryption},
		{Name: "bind and base", Run: d.bindToServers},
	}
	return report.Group{Subject: "directory " + d.Name, Steps: append(steps, d.peopleSteps()...)}
}

// lookTime is how long one address may take for all that is done there: there may be many.
const lookTime = 5 * time.Second

// reachServers looks at every address of every server, for the steps that follow too.
func (d *Directory) reachServers(ctx context.Context) report.Finding {
	settings := d.Settings
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
func (d *Directory) checkEncryption(context.Context) report.Finding {
	var f report.Faults
	var texts []string
	for _, p := range d.peers {
		var leaf *x509.Certificate
		of := ""
		if len(p.Certificates) > 0 {
			leaf = p.Certificates[0]
			of = fmt.Sprintf("certificate for %s by %s, valid until %s", namesOf(leaf), network.Issuer(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
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
			if d.Section.StartTLS && !strings.HasPrefix(p.Server, "ldaps:") {
				text = "StartTLS, " + text
			}
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
			for _, certificate := range p.Certificates {
				if left := certificate.NotAfter.Sub(d.Settings.Now()); left < soon {
					f.Warn("have it issued anew: after that no one can sign in", "%s: the certificate of %s ends in %s", p.Server, certificate.Subject, report.InDays(left))
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
func (d *Directory) bindToServers(context.Context) report.Finding {
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
func (d *Directory) account() string {
	if d.Section.BindDN == "" {
		return "an anonymous client"
	}
	return d.Section.BindDN
}

// bases are the entries below which everything is searched.
func (d *Directory) bases() string {
	if slices.Contains(d.Settings.BaseDNs, "") {
		return "all of the server"
	}
	return strings.Join(d.Settings.BaseDNs, " and ")
}
