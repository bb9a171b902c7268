package check

import (
	"context"
	"net"
	"strconv"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// site is one host, looked at from outside, and what was seen of it so far.
type site struct {
	*Examiner
	name string
	port int // of HTTPS, as the world sees it

	targets   []string // where its HTTPS port is, as host:port
	answers   bool     // something accepts connections there
	secure    bool     // with a certificate that outsiders accept
	published published
	last      published // at the end of the delegations
	provider  string    // the authority that last is of; "" while there is none
}

func (e *Examiner) site(name string, port int) *site {
	s := &site{Examiner: e, name: name, port: port}
	s.published.authority = s.authority()
	return s
}

// authority is how documents and certificates name the site.
func (s *site) authority() string {
	if s.port == 443 {
		return s.name
	}
	return net.JoinHostPort(s.name, strconv.Itoa(s.port))
}

func (s *site) origin() string { return "https://" + s.authority() }

// reachSteps look at the way to the site.
func (s *site) reachSteps() []Step {
	return []Step{
		{Name: "DNS", Look: s.lookAtDNS},
		{Name: "port " + strconv.Itoa(s.port), Look: s.lookAtPort},
		{Name: "certificate", Look: s.lookAtCertificate},
	}
}

// documentSteps look at what is published. domain is the mail domain that is
// asked for.
func (s *site) documentSteps(domain string) []Step {
	return []Step{
		{Name: "support document", Look: func(ctx context.Context) Finding { return s.fetchDocument(ctx, domain) }},
		{Name: "content type", Look: s.judge(typeRule)},
		{Name: "size", Look: s.judge(sizeRule)},
		{Name: "caching", Look: s.judge(cacheRule)},
		{Name: "content", Look: s.judge(contentRule)},
		{Name: "key", Look: s.judge(keyRule)},
		{Name: "authority", Look: func(ctx context.Context) Finding { return s.followDelegation(ctx, domain) }},
	}
}

func (s *site) fetchDocument(ctx context.Context, domain string) Finding {
	if !s.secure {
		return skipped("no outsider comes that far")
	}
	got, err := s.web.get(ctx, documentURL(s.authority(), domain), nil)
	if err != nil {
		return unreached(err, s.name)
	}
	s.published.answer = got
	finding := statusRule(&s.published)
	if finding.Status == Failed {
		s.published.answer.Response = nil // what came is no document
	}
	return finding
}

// judge makes a step of a rule about the document.
func (s *site) judge(rule func(*published) Finding) func(context.Context) Finding {
	return func(context.Context) Finding {
		if s.published.answer.Response == nil {
			return skipped("there is no document")
		}
		return rule(&s.published)
	}
}

func (s *site) followDelegation(ctx context.Context, domain string) Finding {
	if s.published.document == nil {
		return skipped("there is no document that can be read")
	}
	chain, last, finding := s.follow(ctx, domain, s.published)
	if finding.Status == Failed {
		return finding
	}
	if _, disabled := last.document.(browserid.Disabled); disabled {
		if host, own := s.ours(s.name); own && host.Role == config.RoleDisabled {
			return finding // as it was asked for
		}
		return warned("whoever runs it has switched it off: ask there", "nobody signs for %s, by its own word (disabled)", s.name)
	}
	s.last, s.provider = last, chain[len(chain)-1]
	return finding
}

// expectRole compares what is published with what the configuration says.
func (s *site) expectRole(host config.Host) func(context.Context) Finding {
	return func(context.Context) Finding {
		if s.published.document == nil {
			return skipped("there is no document that can be read")
		}
		return compareRole(&s.published, host)
	}
}
