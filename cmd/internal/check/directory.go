package check

import (
	"context"
	"net"
	"net/url"
	"strings"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/ldapauth"
)

// wantedSamples is how many addresses are shown for the operator to recognize.
const wantedSamples = 3

// directoryGroup checks one directory: each of its servers by itself, because one
// that is down hides behind one that answers.
func (c *Checker) directoryGroup(name string) report.Group {
	from := c.Config.Directories[name]
	group := report.Group{Subject: "directory " + name}
	answering := false
	for _, server := range from.URLs {
		reached := false
		group.Steps = append(group.Steps,
			report.Step{Name: "reach", Run: func(ctx context.Context) report.Finding {
				finding := c.reachServer(ctx, server)
				reached = finding.Status == report.OK
				return finding
			}},
			report.Step{Name: "bind and base", Run: func(ctx context.Context) report.Finding {
				if !reached {
					return report.Skip("%s does not answer", server)
				}
				finding := c.bindToServer(ctx, name, from, server)
				answering = answering || finding.Status == report.OK
				return finding
			}})
	}
	group.Steps = append(group.Steps, report.Step{Name: "sample addresses", Run: func(ctx context.Context) report.Finding {
		if !answering {
			return report.Skip("the directory does not answer")
		}
		return c.sampleAddresses(ctx, name, from)
	}})
	if from.RequiredGroup != "" {
		group.Steps = append(group.Steps, report.Step{Name: "required group", Run: func(ctx context.Context) report.Finding {
			if !answering {
				return report.Skip("the directory does not answer")
			}
			directory, _, err := c.openDirectory(name, from.URLs)
			if err != nil {
				return report.Error("", err, "correct the directory's section of the configuration")
			}
			defer func() { _ = directory.Close() }()
			if err := directory.CheckRequiredGroup(ctx); err != nil {
				return report.Error("", err, "look at the directory's own log")
			}
			return report.Pass("%s", from.RequiredGroup)
		}})
	}
	return group
}

func (c *Checker) reachServer(ctx context.Context, server string) report.Finding {
	u, err := url.Parse(server)
	if err != nil {
		return report.Fail("correct urls", "%v", err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	connection, err := c.dialer.Connect(ctx, net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		fault := visitor.Explain(err, u.Hostname())
		hint := "is the directory running, and is urls right?"
		switch fault.Kind {
		case visitor.NoName:
			hint = "correct the host name in urls"
		case visitor.NoDNS:
			hint = fault.Hint()
		case visitor.Unreached:
			hint = "is the host in urls right, and does a firewall keep this machine from its port " + port + "?"
		}
		return report.Fail(hint, "%s: %v", server, fault)
	}
	_ = connection.Close() // nothing was said
	return report.Pass("%s", server)
}

// openDirectory is the directory as the program opens it, on some of its servers.
func (c *Checker) openDirectory(name string, servers []string) (*ldapauth.Directory, ldapauth.Config, error) {
	settings, err := c.Directory(c.Config, c.hosts, name)
	if err != nil {
		return nil, ldapauth.Config{}, err
	}
	settings.URLs, settings.Now, settings.Log = servers, c.Now, c.Log
	directory, err := ldapauth.New(settings)
	return directory, settings, err
}

func (c *Checker) bindToServer(ctx context.Context, name string, from config.Directory, server string) report.Finding {
	directory, _, err := c.openDirectory(name, []string{server})
	if err != nil {
		return report.Error("", err, "correct the directory's section of the configuration")
	}
	defer func() { _ = directory.Close() }()
	if err := directory.Ping(ctx); err != nil {
		return report.Error("", err, "look at the directory's own log")
	}
	who := from.BindDN
	if who == "" {
		who = "an anonymous client"
	}
	return report.Pass("as %s; %s can be read", who, from.BaseDN)
}

func (c *Checker) sampleAddresses(ctx context.Context, name string, from config.Directory) report.Finding {
	directory, settings, err := c.openDirectory(name, from.URLs)
	if err != nil {
		return report.Error("", err, "correct the directory's section of the configuration")
	}
	defer func() { _ = directory.Close() }()
	sample, err := directory.Sample(ctx, wantedSamples)
	domains := strings.Join(settings.Domains, ", ")
	who := from.BindDN
	if who == "" {
		who = "an anonymous client"
	}
	switch {
	case err != nil:
		return report.Error("", err, "look at the directory's own log")
	case len(sample.Addresses) > 0:
		return report.Pass("%s", strings.Join(sample.Addresses, ", "))
	case sample.People == 0:
		return report.Fail("look at base_dn, user_filter, and whether "+who+" may read there", "no entry below %s matches user_filter", from.BaseDN)
	case len(sample.Ambiguous) > 0:
		return report.Fail("take each of them from one of the entries: "+strings.Join(sample.Ambiguous, ", "), "no entry has an address of its own in %s: each is that of two entries", domains)
	case len(sample.Domains) > 0:
		return report.Fail("if these people are to sign in, name their mail domain: certifies: ["+sample.Domains[0]+"]", "there are people, and their addresses are of %s, none of %s", strings.Join(sample.Domains, ", "), domains)
	}
	return report.Fail("look at address_attributes, and whether "+who+" may read them", "there are people, and none that may sign in has an address of %s", domains)
}
