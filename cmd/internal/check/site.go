package check

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
)

// site is one host as outsiders find it, and what was found of it so far.
type site struct {
	*Checker
	name string
	port int // of HTTPS, as outsiders see it

	targets []string // where its HTTPS port is, as host:port
	answers bool     // something accepts connections there
	secure  bool     // with a certificate that outsiders accept

	way       []published // what the look-up of its document found
	wayError  error
	published *published // its own document's answer; nil: there is none
	last      published  // at the end of the delegations
	provider  string     // the authority that last is of; "" while there is none
}

func (c *Checker) site(name string, port int) *site {
	return &site{Checker: c, name: name, port: port}
}

// authority is how documents and certificates name the site.
func (s *site) authority() string {
	if s.port == 443 {
		return s.name
	}
	return net.JoinHostPort(s.name, strconv.Itoa(s.port))
}

func (s *site) origin() string { return "https://" + s.authority() }

// reachSteps check the way to the site.
func (s *site) reachSteps() []Step {
	return []Step{
		{Name: "DNS", Run: s.checkDNS},
		{Name: "port " + strconv.Itoa(s.port), Run: s.checkPort},
		{Name: "certificate", Run: s.checkCertificate},
	}
}

// documentSteps check what is published. domain is the mail domain that is
// asked for.
func (s *site) documentSteps(domain string) []Step {
	steps := []Step{{Name: "support document", Run: func(ctx context.Context) Finding { return s.fetchDocument(ctx, domain) }}}
	for _, rule := range []struct {
		name  string
		check func(*published) Finding
	}{{"content type", typeRule}, {"size", sizeRule}, {"caching", cacheRule}, {"content", contentRule}, {"key", keyRule}} {
		steps = append(steps, Step{Name: rule.name, Run: func(context.Context) Finding {
			if s.published == nil {
				return skipped("there is no document")
			}
			return rule.check(s.published)
		}})
	}
	return append(steps, Step{Name: "authority", Run: func(ctx context.Context) Finding { return s.checkAuthority(ctx, domain) }})
}

func (s *site) fetchDocument(ctx context.Context, domain string) Finding {
	if !s.secure {
		return skipped("no trusted TLS connection")
	}
	s.way, s.wayError = s.lookUp(ctx, s.authority(), domain)
	switch {
	case len(s.way) == 0:
		return failure("", s.wayError, "write the domain as example.com")
	case s.way[0].Response == nil:
		return unreached(s.way[0].Err, s.name)
	}
	finding := statusRule(&s.way[0])
	if finding.Status != Failed {
		s.published = &s.way[0]
	}
	return finding
}

func (s *site) checkAuthority(ctx context.Context, domain string) Finding {
	if s.published == nil || s.published.document == nil {
		return skipped("there is no document that can be read")
	}
	way, err := s.way, s.wayError
	if delegation, ok := s.published.document.(browserid.Delegation); ok && s.published.Err != nil {
		// Clients stop at this document, for a reason that is reported already.
		var more []published
		more, err = s.lookUp(ctx, delegation.Authority, domain)
		way = append(way, more...)
	}
	led, finding := follow(way, err, 1)
	if finding.Status == Failed {
		return finding
	}
	if led.disabled() {
		if host, own := s.ours(s.name); own && host.Role == config.RoleDisabled {
			return finding // as configured
		}
		return warned(`the domain publishes {"disabled": true}; contact its operator`, "no authority signs for %s, by its own word (disabled)", s.name)
	}
	s.last, s.provider = led.last, led.provider()
	return finding
}

// checkRole compares what is published with what the configuration says.
func (s *site) checkRole(host config.Host) Finding {
	if s.published == nil || s.published.document == nil {
		return skipped("there is no document that can be read")
	}
	return roleRule(s.published, host)
}

// checkPublishedKey compares what outsiders read with what signs.
func (s *site) checkPublishedKey(context.Context) Finding {
	if s.published == nil {
		return skipped("there is no support document")
	}
	support, ok := s.published.document.(browserid.Support)
	switch {
	case !ok:
		return skipped("there is no support document")
	case s.keys.ring == nil:
		return skipped("the keys of the state directory cannot be read from here")
	}
	own, err := s.keys.ring.Published(s.name)
	if err != nil {
		return failed("another program answers there, or one with another state_dir", "a key is published, and the state directory holds none for %s", s.name)
	}
	if !support.PublicKey.Equal(own[0]) {
		return failed("another program answers there, or one with another state_dir: certificates signed with this key would be refused as \"invalid signature\"",
			"published is %s, and the key that signs is %s", short(support.PublicKey.Fingerprint()), short(own[0].Fingerprint()))
	}
	return passed("it is the one that signs")
}

// checkFrontDoor asks for the website as a visitor does.
func (s *site) checkFrontDoor(ctx context.Context) Finding {
	if !s.secure {
		return skipped("no trusted TLS connection")
	}
	got, err := s.network.client.Get(ctx, s.origin()+"/", nil)
	switch {
	case err != nil:
		return unreached(err, s.name)
	case got.StatusCode == http.StatusMisdirectedRequest:
		return failed("list the name under domains or hosts, and restart the program", "421: the program there does not serve this name")
	case got.StatusCode >= 500:
		return failed("look at the website, and at the log", "visitors get %d: %s", got.StatusCode, visitor.Brief(got.Body))
	}
	return passed("visitors get %d", got.StatusCode)
}
