package check

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"persona-sidecar/cmd/internal/check/document"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
)

// site is one host as outsiders find it, and what was found of it so far.
type site struct {
	*Checker
	name string
	port int // of HTTPS, as outsiders see it

	nowhere bool     // DNS has no address of it
	targets []string // where its HTTPS port is, as host:port
	answers bool     // something accepts connections there
	secure  bool     // with a certificate that outsiders accept

	way       []document.Published // what the look-up of its document found
	wayTime   time.Duration        // that the look-up took
	wayError  error
	published *document.Published // its own document's answer; nil: there is none
	last      document.Published  // at the end of the delegations
	provider  string              // the authority that last is of; "" while there is none

	// signer is our host that certifies the site\'s domain; "": none, or itself.
	signer string
}

func (c *Checker) site(name string, port int) *site {
	return &site{Checker: c, name: name, port: port}
}

// authority is how documents and certificates name the site.
func (s *site) authority() string {
	return config.Authority(s.name, s.port, 443)
}

func (s *site) origin() string { return "https://" + s.authority() }

// reachSteps check the way to the site.
func (s *site) reachSteps() []report.Step {
	return []report.Step{
		{Name: "DNS", Run: s.checkDNS},
		{Name: "port " + strconv.Itoa(s.port), Run: s.checkPort},
		{Name: "certificate", Run: s.checkCertificate},
	}
}

// documentSteps check what is published. domain is the mail domain that is
// asked for.
func (s *site) documentSteps(domain string) []report.Step {
	steps := []report.Step{{Name: "support document", Run: func(ctx context.Context) report.Finding { return s.fetchDocument(ctx, domain) }}}
	for _, rule := range []struct {
		name  string
		check func(*document.Published) report.Finding
	}{{"content type", document.ContentType}, {"size", document.Size}, {"caching", document.Caching}, {"content", document.Content}, {"key", document.Key}} {
		steps = append(steps, report.Step{Name: rule.name, Run: func(context.Context) report.Finding {
			if s.published == nil {
				return report.Skip("there is no document")
			}
			return rule.check(s.published)
		}})
	}
	steps = append(steps, report.Step{Name: "speed", Run: func(context.Context) report.Finding {
		if s.published == nil {
			return report.Skip("there is no document")
		}
		return document.Speed(s.wayTime)
	}})
	return append(steps, report.Step{Name: "authority", Run: func(ctx context.Context) report.Finding { return s.checkAuthority(ctx, domain) }})
}

func (s *site) fetchDocument(ctx context.Context, domain string) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	s.way, s.wayTime, s.wayError = document.LookUp(ctx, s.client, s.Now, s.authority(), domain)
	if len(s.way) == 0 {
		return report.Error("", s.wayError, "write the domain as example.com")
	}
	if fault := s.way[0].Fault(); fault != nil {
		return s.unreached(fault, s.name)
	}
	finding := document.Status(&s.way[0])
	if finding.Status != report.Failed {
		s.published = &s.way[0]
		return finding
	}
	if host, own := s.ours(s.name); own {
		switch s.way[0].Response.StatusCode {
		case http.StatusMisdirectedRequest:
			finding.Hint = hostHint(host.Name)
		case http.StatusServiceUnavailable:
			if s.Config.TLS.Mode == config.ModeOff {
				finding.Hint = untrustedHint
			}
		}
	}
	return finding
}

// untrustedHint is what to do when the program takes a proxy for a browser.
const untrustedHint = "list the proxy that ends TLS in trusted_proxies: the log names its address"

// hostHint is what to do when the program does not know a name that it serves.
func hostHint(name string) string {
	return "the configuration has " + name + ", so either the program must be restarted, or a proxy in front does not pass the Host of the request on (nginx: proxy_set_header Host $host)"
}

func (s *site) checkAuthority(ctx context.Context, domain string) report.Finding {
	if s.published == nil || s.published.Document == nil {
		return report.Skip("there is no document that can be read")
	}
	way, err := s.way, s.wayError
	if delegation, ok := s.published.Document.(browserid.Delegation); ok && s.published.Err != nil {
		// Clients stop at this document, for a reason that is reported already.
		var more []document.Published
		more, _, err = document.LookUp(ctx, s.client, s.Now, delegation.Authority, domain)
		way = append(way, more...)
	}
	led, finding := document.Follow(way, err, 1)
	publish := "publish {\"authority\":\"" + s.signer + "\"} at " + document.Place(domain)
	if finding.Status == report.Failed {
		if delegation, ok := s.published.Document.(browserid.Delegation); ok && s.signer != "" && network.HostOf(delegation.Authority) != s.signer {
			finding.Hint = publish + ", if " + s.signer + " is to sign for it; otherwise " + finding.Hint
		}
		return finding
	}
	if led.Disabled() && s.signer != "" {
		return report.Fail(publish+", or remove the domain from certifies", "%s says that no authority signs for it (disabled), so certificates of %s are refused", s.name, s.signer)
	}
	if led.Disabled() {
		if host, own := s.ours(s.name); own && host.Role == config.RoleDisabled {
			return finding // as configured
		}
		return report.Warn(`the domain publishes {"disabled": true}; contact its operator`, "no authority signs for %s: its document says disabled", s.name)
	}
	s.last, s.provider = led.Last, led.Provider()
	return finding
}

// checkPublishedKey compares what outsiders read with what signs.
func (s *site) checkPublishedKey(context.Context) report.Finding {
	if s.published == nil {
		return report.Skip("there is no support document")
	}
	support, ok := s.published.Document.(browserid.Support)
	switch {
	case !ok:
		return report.Skip("there is no support document")
	case s.keys.ring == nil:
		return report.Skip("the keys of the state directory cannot be read from here")
	}
	own, err := publishedKeys(s.keys.ring, s.name)
	if err != nil {
		return report.Fail("another program answers there, or one with another state_dir", "a key is published, and the state directory holds none for %s", s.name)
	}
	if !support.PublicKey.Equal(own[0]) {
		return report.Fail("another program answers there, or one with another state_dir: certificates signed with this key would be refused as \"invalid signature\"",
			"published is %s, and the key that signs is %s", document.Short(support.PublicKey.Fingerprint()), document.Short(own[0].Fingerprint()))
	}
	return report.Pass("it is the one that signs")
}

// checkFrontDoor asks for the website as a visitor does.
func (s *site) checkFrontDoor(ctx context.Context) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	host, _ := s.ours(s.name)
	if down := s.down[host.Upstream.String()]; down != nil && (down.Kind == visitor.Silent || down.Kind == visitor.Unreached) {
		return report.Skip("the website does not answer, as found above; to wait for it once more would take long")
	}
	got, err := s.client.Get(ctx, s.origin()+"/", nil)
	switch {
	case err != nil:
		return s.unreached(err, s.name)
	case got.StatusCode == http.StatusMisdirectedRequest:
		return report.Fail(hostHint(s.name), "421: the program there does not serve this name")
	case visitor.ToItself(got.Response):
		return report.Fail(document.ProxyHint, "%d: a redirect to the very URL that was asked for", got.StatusCode)
	case got.StatusCode >= 500 && s.failing[nameOf(host)]:
		return report.Skip("visitors get %d: the website itself fails, as found above", got.StatusCode)
	case got.StatusCode >= 500:
		return report.Fail("look at the website, and at the log", "visitors get %d: %s", got.StatusCode, visitor.Brief(got.Body))
	}
	return report.Pass("visitors get %d", got.StatusCode)
}
