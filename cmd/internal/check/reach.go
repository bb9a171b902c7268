package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/verifier"
)

// checkDNS asks where the name leads, and compares that with this machine when
// it is one of ours.
func (s *site) checkDNS(ctx context.Context) Finding {
	if s.network.redirected(s.name) {
		return skipped("asking %s instead, as -resolve says", s.Resolve.host)
	}
	if _, err := netip.ParseAddr(s.name); err == nil {
		return passed("an address, not a name")
	}
	addresses, err := s.Resolver.Addresses(ctx, s.name)
	if err != nil {
		return unreached(err, s.name)
	}
	if len(addresses) == 0 {
		return unreached(&net.DNSError{Err: "no such host", Name: s.name, IsNotFound: true}, s.name)
	}
	if _, own := s.ours(s.name); !own {
		return passed("%s", listed(addresses))
	}
	return s.pointsHere(addresses)
}

// pointsHere judges the addresses of a name of ours.
func (s *site) pointsHere(addresses []netip.Addr) Finding {
	machine, err := s.Interfaces()
	if err != nil {
		return warned("", "%s; the addresses of this machine cannot be read: %v", listed(addresses), err)
	}
	here := func(ip netip.Addr) bool { return slices.Contains(machine, ip.Unmap()) }
	if slices.ContainsFunc(addresses, netip.Addr.IsLoopback) {
		return warned("look into /etc/hosts: the rest of the world is told something else", "%s: on this machine the name leads to itself", listed(addresses))
	}
	var elsewhere []netip.Addr
	for _, ip := range addresses {
		if !here(ip) {
			elsewhere = append(elsewhere, ip)
		}
	}
	switch {
	case len(elsewhere) == 0:
		return passed("%s: this machine", listed(addresses))
	case len(elsewhere) < len(addresses):
		return warned("correct or remove that record: browsers and the ACME server try it too", "%s; of these, %s is not this machine", listed(addresses), listed(elsewhere))
	case !slices.ContainsFunc(machine, verifier.PublicAddress):
		return passed("%s; this machine has private addresses only, so the next steps show whether that leads here", listed(addresses))
	}
	return warned("right behind a load balancer or in another network; otherwise correct the record",
		"%s: not this machine, which has %s", listed(addresses), listed(slices.DeleteFunc(machine, func(ip netip.Addr) bool { return !verifier.PublicAddress(ip) })))
}

func listed(addresses []netip.Addr) string {
	var texts []string
	for _, ip := range addresses {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ", ")
}

// checkPort connects to every address of the name: one that is dead, often the
// IPv6 one, makes for faults that come and go.
func (s *site) checkPort(ctx context.Context) Finding {
	targets, err := s.network.targets(ctx, s.name, strconv.Itoa(s.port))
	if err != nil {
		return skipped("there is no address to connect to")
	}
	dead, finding := s.tryEach(ctx, targets)
	s.targets = slices.DeleteFunc(targets, func(t string) bool { return slices.Contains(dead, t) })
	s.answers = len(s.targets) > 0
	return finding
}

// tryEach connects to all targets and returns those that do not answer.
func (s *site) tryEach(ctx context.Context, targets []string) (dead []string, finding Finding) {
	var f faults
	for _, target := range targets {
		connection, err := s.network.connect(ctx, "tcp", target)
		if err != nil {
			dead = append(dead, target)
			reason := unreached(err, s.name)
			f.fail(reason.Hint, "%s: %s", target, reason)
			continue
		}
		_ = connection.Close() // nothing was said
	}
	return dead, f.finding("open at %s", strings.Join(targets, ", "))
}

// checkRedirect asks for a page over plain HTTP, as somebody does who types the
// name.
func (s *site) checkRedirect(ctx context.Context) Finding {
	if s.network.redirected(s.name) && s.Resolve.instead("80") == "" {
		return skipped("-resolve names the port of HTTPS alone")
	}
	const path = "/persona/?a=b"
	got, err := s.network.client.Get(ctx, "http://"+s.name+path, nil)
	if err != nil {
		reason := unreached(err, s.name)
		cure := "open port 80: people who type the name without https:// get nowhere"
		if s.needsPlainHTTP() {
			cure = "open port 80: the ACME server may ask there, and people who type the name without https:// get nowhere"
		}
		return warned(cure, "plain HTTP: %s", reason)
	}
	location, want := got.Header.Get("Location"), s.origin()+path
	switch {
	case got.StatusCode >= 300 && got.StatusCode < 400 && location == want:
		return passed("%d to %s", got.StatusCode, s.origin())
	case got.StatusCode >= 300 && got.StatusCode < 400 && strings.HasPrefix(location, "https://"):
		return warned("let plain HTTP lead to the same host and path; look at listen.public_https", "%d to %s, not to %s", got.StatusCode, location, want)
	case got.StatusCode == http.StatusServiceUnavailable:
		return failed("as soon as there is a certificate it redirects: look at the certificate and at the log", "503: %s", visitor.Brief(got.Body))
	}
	return warned("let plain HTTP redirect to https", "%d %s", got.StatusCode, location)
}

// needsPlainHTTP says whether the ACME server may come by port 80.
func (s *site) needsPlainHTTP() bool {
	return s.usesACME() && s.Config.Listen.HTTP != ""
}

// checkCAA asks whether the certificate authority may issue for the name.
func (s *site) checkCAA(ctx context.Context) Finding {
	records, at, err := s.Resolver.CAA(ctx, s.name)
	if err != nil {
		return warned("the certificate authority refuses when it cannot ask either: look at the name servers of the domain", "CAA cannot be asked: %v", err)
	}
	if len(records) == 0 {
		return passed("no record, so any authority may issue")
	}
	return judgeCAA(records, at, s.identities)
}

// judgeCAA applies RFC 8659 section 4.2 for a name that is no wildcard.
func judgeCAA(records []CAA, at string, identities []string) Finding {
	var issuers []string
	for _, record := range records {
		tag := strings.ToLower(record.Tag)
		known := tag == "issue" || tag == "issuewild" || tag == "iodef" || tag == "issuemail" || tag == "contactemail" || tag == "contactphone"
		if record.Critical && !known {
			return failed("remove the critical CAA record "+record.Tag, "%s has a critical CAA record %s, which no authority knows", at, record.Tag)
		}
		if tag == "issue" {
			issuer, _, _ := strings.Cut(record.Value, ";")
			issuers = append(issuers, strings.ToLower(strings.TrimSpace(issuer)))
		}
	}
	switch {
	case len(issuers) == 0:
		return passed("%s: no issuer is named, so any authority may issue", at)
	case len(identities) == 0:
		return warned("see whether your authority is among them", "%s allows %s only; the ACME server does not say which name it goes by", at, quoted(issuers))
	}
	for _, identity := range identities {
		if slices.Contains(issuers, strings.ToLower(identity)) {
			return passed("%s allows %s", at, identity)
		}
	}
	return failed(fmt.Sprintf("add the record %s CAA 0 issue %q, or remove the CAA records", at, identities[0]),
		"%s allows %s only, and not %s", at, quoted(issuers), strings.Join(identities, ", "))
}

func quoted(names []string) string {
	var texts []string
	for _, name := range names {
		texts = append(texts, strconv.Quote(name))
	}
	return strings.Join(texts, ", ")
}

// errNoChain says that a server sent no certificate at all.
var errNoChain = errors.New("the server sent no certificate")
