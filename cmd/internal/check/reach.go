package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/verifier"
)

// checkDNS asks where the name leads, and compares that with this machine when
// it is one of ours.
func (s *site) checkDNS(ctx context.Context) report.Finding {
	if s.dialer.Redirected(s.name) {
		return report.Skip("asking %s instead, as -resolve says", s.Resolve.Host())
	}
	if _, err := netip.ParseAddr(s.name); err == nil {
		return report.Pass("an address, not a name")
	}
	addresses, err := s.dialer.Addresses(ctx, s.name)
	if err != nil {
		s.nowhere = true
		return s.unreached(err, s.name)
	}
	if _, own := s.ours(s.name); !own {
		return report.Pass("%s", listed(addresses))
	}
	return s.pointsHere(addresses)
}

// pointsHere judges the addresses of a name of ours.
func (s *site) pointsHere(addresses []netip.Addr) report.Finding {
	machine, err := s.Interfaces()
	if err != nil {
		return report.Warn("", "%s; the addresses of this machine cannot be read: %v", listed(addresses), err)
	}
	here := func(ip netip.Addr) bool { return slices.Contains(machine, ip.Unmap()) }
	if slices.ContainsFunc(addresses, netip.Addr.IsLoopback) {
		return report.Warn("look into /etc/hosts: other machines resolve the name in another way", "%s: on this machine the name leads to itself", listed(addresses))
	}
	var elsewhere []netip.Addr
	for _, ip := range addresses {
		if !here(ip) {
			elsewhere = append(elsewhere, ip)
		}
	}
	switch {
	case len(elsewhere) == 0:
		return report.Pass("%s: this machine", listed(addresses))
	case len(elsewhere) < len(addresses):
		return report.Warn("correct or remove that record: browsers and the ACME server try it too", "%s; of these, %s is not this machine", listed(addresses), listed(elsewhere))
	case !slices.ContainsFunc(machine, verifier.PublicAddress):
		return report.Pass("%s; this machine has private addresses only, so the next steps show whether that leads here", listed(addresses))
	}
	return report.Warn("right behind a load balancer or in another network; otherwise correct the record",
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
func (s *site) checkPort(ctx context.Context) report.Finding {
	if s.nowhere {
		return report.Skip("there is no address to connect to")
	}
	targets, err := s.dialer.Targets(ctx, s.name, strconv.Itoa(s.port))
	if err != nil {
		return report.Skip("there is no address to connect to")
	}
	var f report.Faults
	for _, target := range targets {
		connection, err := s.dialer.Connect(ctx, target)
		if err != nil {
			reason := s.unreached(err, s.name)
			f.Fail(reason.Hint, "%s: %s", target, reason.Message)
			continue
		}
		_ = connection.Close() // nothing was said
		s.targets = append(s.targets, target)
	}
	s.answers = len(s.targets) > 0
	return f.Finding("open at %s", strings.Join(targets, ", "))
}

// checkRedirect asks for a page over plain HTTP, as people do who type the name.
func (s *site) checkRedirect(ctx context.Context) report.Finding {
	if s.dialer.Redirected(s.name) && !s.dialer.RedirectedPlain() {
		return report.Skip("-resolve names the port of HTTPS alone")
	}
	if s.nowhere {
		return report.Skip("there is no address to connect to")
	}
	const path = "/persona/?a=b"
	got, err := s.client.Get(ctx, "http://"+config.Authority(s.name, 80, 80)+path, nil)
	if err != nil {
		if fault := visitor.Explain(err, s.name); fault.Kind != visitor.Refused && fault.Kind != visitor.Unreached {
			return report.Warn(fault.Hint(), "plain HTTP: %v", fault)
		}
		hint := "open port 80: people who type the name without https:// get nowhere"
		if s.usesACME() && s.Config.Listen.HTTP != "" {
			hint = "open port 80: the ACME server may ask there, and people who type the name without https:// get nowhere"
		}
		return report.Warn(hint, "plain HTTP: %v", err)
	}
	location, want := got.Header.Get("Location"), s.origin()+path
	switch {
	case got.StatusCode >= 300 && got.StatusCode < 400 && location == want:
		return report.Pass("%d to %s", got.StatusCode, s.origin())
	case got.StatusCode >= 300 && got.StatusCode < 400 && strings.HasPrefix(location, "https://"):
		return report.Warn("let plain HTTP lead to the same host and path; look at listen.public_https", "%d to %s, not to %s", got.StatusCode, location, want)
	case got.StatusCode == http.StatusServiceUnavailable && s.Config.TLS.Mode == config.ModeOff:
		return report.Fail(untrustedHint, "503: %s", visitor.Brief(got.Body))
	case got.StatusCode == http.StatusServiceUnavailable:
		return report.Fail("as soon as there is a certificate it redirects: look at the certificate and at the log", "503: %s", visitor.Brief(got.Body))
	}
	return report.Warn("let plain HTTP redirect to https", "%d %s", got.StatusCode, location)
}

// checkCAA asks whether the certificate authority may issue for the name, by RFC
// 8659 section 4.2 for one that is no wildcard.
func (s *site) checkCAA(ctx context.Context) report.Finding {
	records, at, err := s.Resolver.CAA(ctx, s.name)
	if err != nil {
		hint := "the certificate authority refuses when it cannot ask either: look at the name servers of the domain"
		if own, ok := errors.AsType[*network.ResolverError](err); ok {
			hint = own.Hint()
		}
		return report.Warn(hint, "CAA cannot be asked: %v", err)
	}
	if len(records) == 0 {
		return report.Pass("no record, so any authority may issue")
	}
	issuers, unknown := network.Issuers(records)
	switch {
	case unknown != "":
		return report.Fail("remove the critical CAA record "+unknown, "%s has a critical CAA record %s, which no authority knows", at, unknown)
	case len(issuers) == 0:
		return report.Pass("%s: no issuer is named, so any authority may issue", at)
	case len(s.identities) == 0:
		return report.Warn("see whether your authority is among them", "%s allows %s only; the ACME server does not say which name it goes by", at, quoted(issuers))
	}
	for _, identity := range s.identities {
		if slices.Contains(issuers, strings.ToLower(identity)) {
			return report.Pass("%s allows %s", at, identity)
		}
	}
	return report.Fail(fmt.Sprintf("add the record %s CAA 0 issue %q, or remove the CAA records", at, s.identities[0]),
		"%s allows %s only, and not %s", at, quoted(issuers), strings.Join(s.identities, ", "))
}

func quoted(names []string) string {
	var texts []string
	for _, name := range names {
		texts = append(texts, strconv.Quote(name))
	}
	return strings.Join(texts, ", ")
}
