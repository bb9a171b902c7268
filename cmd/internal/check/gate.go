package check

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/check/website"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/verifier"
)

// gateSteps check, as a stranger, a website that is told who is signed in, or parts of which are
// closed to others.
func (s *site) gateSteps(host config.Host) []report.Step {
	if host.SignIn == "" {
		return nil
	}
	steps := []report.Step{{Name: "way to sign in", Run: func(ctx context.Context) report.Finding { return s.checkWayIn(ctx, host) }}}
	if len(host.Entry.Access) > 0 {
		steps = append(steps, report.Step{Name: "access rules", Run: func(ctx context.Context) report.Finding { return s.checkRules(ctx, host) }})
	}
	if host.Entry.IdentityHeaders.Names.Assertion != "" {
		steps = append(steps, report.Step{Name: "assertion keys", Run: func(ctx context.Context) report.Finding { return s.checkAssertionKeys(ctx, host) }})
	}
	return append(steps, report.Step{Name: "way past", Run: func(ctx context.Context) report.Finding { return s.checkWayPast(ctx, host) }})
}

// asStranger asks for a page as a browser does that has no cookies. The finding is about answers
// that have nothing to do with what is asked for; otherwise its status is OK.
func (s *site) asStranger(ctx context.Context, address string) (visitor.Answer, report.Finding) {
	got, err := s.client.Get(ctx, address, http.Header{"Accept": {"text/html"}})
	switch {
	case err != nil:
		return got, s.unreached(err, s.name)
	case got.StatusCode == http.StatusMisdirectedRequest:
		return got, report.Fail(hostHint(s.name), "421: the program there does not serve this name")
	case got.StatusCode == http.StatusServiceUnavailable:
		return got, report.Fail("look at the log and at /readyz", "%s answers 503: %s", address, visitor.Brief(got.Body))
	}
	return got, report.Pass("")
}

const otherProgram = "restart the program, if its configuration is older; otherwise look at what answers there: is there another server in front that takes /persona/ for itself?"

// checkWayIn begins to sign in at the website's host, up to the page that asks for a password.
func (s *site) checkWayIn(ctx context.Context, host config.Host) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	identity := "https://" + config.Authority(host.SignIn, s.publicPort(), 443)
	at := s.origin() + route.PathLogin + "?return=%2F"
	challenge, way := "", []string{route.PathLogin}
	for range 4 {
		got, finding := s.asStranger(ctx, at)
		if finding.Status != report.OK {
			return finding
		}
		location, err := got.Location()
		switch {
		case got.StatusCode == http.StatusOK && len(way) > 1 && strings.HasPrefix(at, identity+signin.PathAuthenticate+"?"):
			return report.Pass("%s", strings.Join(way, " → "))
		case got.StatusCode != http.StatusSeeOther || err != nil:
			return report.Fail(otherProgram, "%s answers %d, and leads no one to sign in", at, got.StatusCode)
		case len(way) == 1 && host.SignIn != host.Name:
			query := location.Query()
			challenge = query.Get("challenge")
			if !strings.HasPrefix(location.String(), identity+route.PathHandover+"?") || query.Get("host") != host.Name || challenge == "" {
				return report.Fail(otherProgram, "%s leads to %s, not to %s", at, location, identity+route.PathHandover)
			}
			if !slices.ContainsFunc(got.Cookies(), func(c *http.Cookie) bool { return c.Name == session.LoginCookieName && c.Value != "" }) {
				return report.Fail("does something in front of the program take cookies away, or answer from a cache?", "%s sets no cookie %s, so no sign-in comes to an end", at, session.LoginCookieName)
			}
			again, finding := s.asStranger(ctx, at)
			if finding.Status != report.OK {
				return finding
			}
			if second, err := again.Location(); err == nil && second.Query().Get("challenge") == challenge {
				return report.Fail("let nothing in front of the program keep answers below /persona/ in a cache", "%s gives two visitors the same challenge", at)
			}
		case !strings.HasPrefix(location.String(), identity+"/persona/"):
			return report.Fail(otherProgram, "%s leads to %s, not to the sign-in page of %s", at, location, host.SignIn)
		}
		at = location.String()
		way = append(way, strings.TrimPrefix(location.Scheme+"://"+location.Host, s.origin())+location.Path)
	}
	return report.Fail(otherProgram, "it leads on without end: %s", strings.Join(way, " → "))
}

// mostRules bounds how many rules of a host are tried.
const mostRules = 20

// checkRules asks as a stranger for something below each closed path. It need not be there: the rule decides before
// the website is asked.
func (s *site) checkRules(ctx context.Context, host config.Host) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	var f report.Faults
	closed := 0
	for _, rule := range host.Entry.Access {
		if rule.Allow == "public" || closed == mostRules {
			continue
		}
		closed++
		path := (&url.URL{Path: rule.Path}).EscapedPath()
		if !rule.Exact {
			path = strings.TrimSuffix(path, "/") + "/persona-check"
		}
		origins := []string{s.origin()}
		if s.Config.Listen.HTTP != "" && closed == 1 && (!s.dialer.Redirected(s.name) || s.dialer.RedirectedPlain()) {
			origins = append(origins, "http://"+config.Authority(s.name, 80, 80))
		}
		for _, origin := range origins {
			got, err := s.client.Get(ctx, origin+path, http.Header{"Accept": {"text/html"}})
			if err != nil {
				if origin == s.origin() {
					return s.unreached(err, s.name)
				}
				continue // that it is not reached is found above
			}
			to, _ := got.Location()
			switch {
			case to != nil && (to.Path == route.PathLogin && to.Host == s.authority() || origin != s.origin() && to.Scheme == "https" && to.Host == s.authority()):
			case got.StatusCode == http.StatusUnauthorized, got.StatusCode == http.StatusForbidden, got.StatusCode == http.StatusServiceUnavailable:
			default:
				f.Fail("restart the program, if its configuration is older; otherwise look at what answers there, and at which rule of access covers the path first", "%s is closed, and a stranger who asks for %s gets %d", rule.Path, origin+path, got.StatusCode)
			}
		}
	}
	if closed == 0 {
		return report.Skip("every path is public")
	}
	return f.Finding("strangers are led to sign in, or refused, at %s", report.Counted(closed, "closed path"))
}

// checkAssertionKeys reads the keys by which the website verifies assertions.
func (s *site) checkAssertionKeys(ctx context.Context, host config.Host) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	at := "https://" + config.Authority(host.SignIn, s.publicPort(), 443) + assertion.PathKeys
	got, err := s.client.Get(ctx, at, nil)
	if err != nil {
		return s.unreached(err, host.SignIn)
	}
	var set struct {
		Keys []struct {
			Kid string `json:"kid"`
		} `json:"keys"`
	}
	switch err := json.Unmarshal(got.Body, &set); {
	case got.StatusCode != http.StatusOK:
		return report.Fail(otherProgram, "%s answers %d: %s", at, got.StatusCode, visitor.Brief(got.Body))
	case err != nil || len(set.Keys) == 0:
		return report.Fail(otherProgram, "%s has no keys: %s", at, visitor.Brief(got.Body))
	}
	return report.Pass("%s at %s", report.Counted(len(set.Keys), "key"), at)
}

// pastTime bounds an attempt to reach the website past the program. A firewall may drop it.
const pastTime = 3 * time.Second

// checkWayPast looks for ways to the website on which it is not this program that says who is
// signed in.
func (s *site) checkWayPast(ctx context.Context, host config.Host) report.Finding {
	to := host.Upstream
	hint := "let the website listen at 127.0.0.1, at a Unix socket or in a network of its own"
	if host.Entry.IdentityHeaders.Names.Assertion != "" {
		hint += ", or verify " + host.Entry.IdentityHeaders.Names.Assertion + " there"
	}
	if to.Scheme == "unix" {
		return report.Pass("the website listens at a Unix socket")
	}
	ip, err := netip.ParseAddr(to.Hostname())
	inner := []netip.Addr{ip}
	if err != nil {
		inner, _ = s.Resolver.Addresses(ctx, to.Hostname()) // a name that DNS does not know is one of this network
	}
	if i := slices.IndexFunc(inner, verifier.PublicAddress); i >= 0 {
		return report.Warn(hint, "the website listens at the public address %s: who reaches it there can write into a request who is signed in", inner[i])
	}
	_, port, _ := net.SplitHostPort(website.Address(to))
	for _, own := range []string{s.Config.Listen.HTTPS, s.Config.Listen.HTTP} {
		if _, taken, err := net.SplitHostPort(own); err == nil && taken == port {
			return report.Skip("this program listens at the port %s of the website as well", port)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pastTime)
	defer cancel()
	w := s.websiteOf(host)
	for _, target := range s.targets {
		outer, err := netip.ParseAddrPort(target)
		if err != nil || outer.Addr().IsLoopback() {
			continue
		}
		address := net.JoinHostPort(outer.Addr().String(), port)
		if connection, err := s.dialer.Connect(ctx, address); err != nil {
			continue
		} else if _ = connection.Close(); w.AnswersAt(ctx, address) {
			return report.Warn(hint+", or close the port to all others", "the website answers at %s, past this program: who reaches it there can write into a request who is signed in", address)
		}
	}
	return report.Pass("none was found")
}
