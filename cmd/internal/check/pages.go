package check

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/page"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
)

const (
	provisioningScript   = "provisioning_api.js"
	authenticationScript = "authentication_api.js"
)

// pageSteps check the two pages of the authority that the document leads to.
// hubs are the origins that must be able to frame the provisioning page, as far
// as they are known.
func (s *site) pageSteps(hubs []string) []report.Step {
	return []report.Step{
		{Name: "sign-in page", Run: func(ctx context.Context) report.Finding { return s.checkSignInPage(ctx) }},
		{Name: "provisioning page", Run: func(ctx context.Context) report.Finding { return s.checkProvisioningPage(ctx, hubs) }},
	}
}

// support returns the support document at the end of the delegations.
func (s *site) support() (browserid.Support, bool) {
	support, ok := s.last.Document.(browserid.Support)
	return support, ok && s.provider != ""
}

func (s *site) checkSignInPage(ctx context.Context) report.Finding {
	support, ok := s.support()
	if !ok {
		return report.Skip("there is no identity provider")
	}
	address := "https://" + s.provider + support.Authentication
	got, finding := s.fetchPage(ctx, address)
	if finding.Status == report.Failed {
		return finding
	}
	var f report.Faults
	// This page is reached inside the popup: parted from its opener, the dialog
	// cannot pass the assertion on.
	if policy, cuts := page.CutsPopups(got.Header, false); cuts {
		f.Fail("send no Cross-Origin-Opener-Policy with this page", "Cross-Origin-Opener-Policy: %s cuts the popup from the page that opened it", policy)
	}
	if _, stated := page.FrameAncestors(got.Header); !stated && got.Header.Get("X-Frame-Options") == "" {
		f.Warn("send Content-Security-Policy: frame-ancestors 'none'", "any website may frame it and steal clicks")
	}
	s.checkScript(ctx, &f, got, authenticationScript)
	return f.Finding("%s, not to be framed, loads %s", address, authenticationScript)
}

func (s *site) checkProvisioningPage(ctx context.Context, hubs []string) report.Finding {
	support, ok := s.support()
	if !ok {
		return report.Skip("there is no identity provider")
	}
	address := "https://" + s.provider + support.Provisioning
	got, finding := s.fetchPage(ctx, address)
	if finding.Status == report.Failed {
		return finding
	}
	var f report.Faults
	const framing = "a hub frames this page; when it cannot, people see only \"Provisioning timed out\""
	if value := got.Header.Get("X-Frame-Options"); value != "" {
		f.Fail("suppress X-Frame-Options for this page and use frame-ancestors: "+framing, "X-Frame-Options: %s", value)
	}
	s.judgeAncestors(&f, got.Header, hubs)
	if policy, cuts := page.CutsPopups(got.Header, false); cuts {
		f.Warn("send no Cross-Origin-Opener-Policy with this page", "Cross-Origin-Opener-Policy: %s", policy)
	}
	s.checkScript(ctx, &f, got, provisioningScript)
	return f.Finding("%s, may be framed by hubs, loads %s", address, provisioningScript)
}

// judgeAncestors checks that the hubs may frame the provisioning page.
func (s *site) judgeAncestors(f *report.Faults, header http.Header, hubs []string) {
	policies, stated := page.FrameAncestors(header)
	if !stated {
		f.Warn("send Content-Security-Policy: frame-ancestors 'self', and the origins of further hubs", "every website may frame it")
		return
	}
	for _, sources := range policies { // each of them must allow it
		if slices.Contains(sources, "'none'") || len(sources) == 0 {
			f.Fail("allow the hubs: frame-ancestors 'self', and the origins of further hubs", "frame-ancestors 'none': no hub can frame it")
			return
		}
		for _, hub := range hubs {
			own := hub == "https://"+s.provider && slices.Contains(sources, "'self'")
			if !own && !slices.Contains(sources, hub) && !slices.Contains(sources, "*") {
				f.Fail("add "+hub+" to its frame-ancestors", "the hub %s may not frame it", hub)
			}
		}
	}
}

// fetchPage gets a page of the support document.
func (s *site) fetchPage(ctx context.Context, address string) (visitor.Answer, report.Finding) {
	got, err := s.client.Get(ctx, address, nil)
	if err != nil {
		return got, s.unreached(err, network.HostOf(s.provider))
	}
	location := got.Header.Get("Location")
	switch {
	case got.StatusCode >= 300 && got.StatusCode < 400:
		return got, report.Fail("name the page itself in the support document: a hub binds its channel to this origin", "%s redirects to %s", address, location)
	case got.StatusCode != http.StatusOK:
		return got, report.Fail("answer with status 200 and the page: the support document names it", "%s answers %d: %s", address, got.StatusCode, visitor.Brief(got.Body))
	case !strings.HasPrefix(strings.ToLower(got.Header.Get("Content-Type")), "text/html"):
		return got, report.Fail("send the header Content-Type: text/html", "%s is no page, but %s", address, got.Header.Get("Content-Type"))
	}
	return got, report.Pass("%s", address)
}

// checkScript finds the protocol's script in a page, and sees that it loads.
func (s *site) checkScript(ctx context.Context, f *report.Faults, from visitor.Answer, name string) {
	var source *url.URL
	for _, r := range page.Parse(from.Body, from.Request.URL, from.Header).References {
		if r.Kind == page.Script && path.Base(r.URL.Path) == name {
			source = r.URL
			break
		}
	}
	if source == nil {
		f.Warn("the page must load "+name+" of its hub, and call what it defines", "no %s is loaded", name)
		return
	}
	// Mozilla's service is closed.
	if host := "." + source.Hostname(); strings.HasSuffix(host, ".persona.org") || strings.HasSuffix(host, ".browserid.org") {
		f.Fail("load "+name+" of your own hub: Mozilla's service closed in 2016", "it loads %s, which is gone", source)
		return
	}
	if source.Scheme != "https" {
		f.Fail("load it by https", "it loads %s, which browsers refuse", source)
		return
	}
	got, err := s.client.Get(ctx, source.String(), nil)
	switch {
	case err != nil:
		f.Fail("the page does nothing without it", "its script %s: %s", source, s.unreached(err, source.Hostname()).Message)
	case got.StatusCode != http.StatusOK:
		f.Fail("the page does nothing without it", "its script %s answers %d", source, got.StatusCode)
	case !strings.Contains(strings.ToLower(got.Header.Get("Content-Type")), "javascript"):
		f.Fail("send it with Content-Type: text/javascript", "its script %s is no script, but %s", source, got.Header.Get("Content-Type"))
	}
}
