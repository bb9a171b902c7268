package website

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check/page"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/proxy/middleware"
)

// checkAddresses looks for http:// addresses of our hosts in the page. Browsers refuse the
// scripts and style sheets at such an address in a page that came by HTTPS, and warn
// of forms that lead there.
func (w *Site) checkAddresses(context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	if w.page.Upgrades {
		return report.Pass("the page has browsers use https:// for all (upgrade-insecure-requests)")
	}
	ours := func(r page.Reference) bool {
		name := middleware.CanonicalHost(r.URL.Host)
		return r.URL.Scheme == "http" && slices.ContainsFunc(w.Hosts, func(h config.Host) bool { return h.Name == name })
	}
	refused := []page.Kind{page.Form, page.Script, page.Style, page.Frame}
	examples := w.examples(ours, refused)
	hint := w.schemeHint(w.page.Maker)
	switch {
	case examples != "":
		return report.Fail(hint, "its page has http:// addresses of its own (%s): browsers refuse such scripts and style sheets in a page that came by HTTPS, and call such a form not secure", examples)
	case w.examples(ours, []page.Kind{page.Media}) != "":
		return report.Warn(hint, "its page has http:// addresses of its own (%s): browsers try https:// instead, but not all do", w.examples(ours, []page.Kind{page.Media}))
	}
	return report.Pass("its page loads nothing from http:// addresses of its own")
}

// mostExamples bounds how many addresses a finding names.
const mostExamples = 3

// examples names up to three addresses, one of each kind first, and how many more there are;
// "" for none.
func (w *Site) examples(ours func(page.Reference) bool, kinds []page.Kind) string {
	var first, more []string
	for _, kind := range kinds {
		n := 0
		for _, r := range w.page.References {
			if r.Kind != kind || !ours(r) {
				continue
			}
			if text := fmt.Sprintf("%s %s", kind, r.URL); n == 0 {
				first = append(first, text)
			} else {
				more = append(more, text)
			}
			n++
		}
	}
	all := slices.Concat(first, more)
	if len(all) > mostExamples {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:mostExamples], ", "), len(all)-mostExamples)
	}
	return strings.Join(all, ", ")
}

// schemeHint is how a website learns that its visitors come by HTTPS. maker is what it says
// of the program that makes its pages.
func (w *Site) schemeHint(maker string) string {
	maker = strings.ToLower(maker)
	wordPress := strings.HasPrefix(maker, "wordpress") || slices.ContainsFunc(w.page.References, func(r page.Reference) bool {
		return strings.Contains(r.URL.Path, "/wp-content/") || strings.Contains(r.URL.Path, "/wp-includes/")
	})
	origin := "https://" + w.authority
	switch {
	case wordPress:
		return fmt.Sprintf("write at the head of wp-config.php: if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = %d; } and set home and siteurl to %s", w.PublicHTTPS, origin)
	case strings.HasPrefix(maker, "mediawiki"):
		return fmt.Sprintf("write $wgServer = %q; into LocalSettings.php", origin)
	case strings.HasPrefix(maker, "ghost"):
		return "set url: " + origin + " in Ghost's configuration"
	}
	return "tell the website that it is behind a proxy that ends TLS (it must trust X-Forwarded-Proto), or that its address is " + origin
}
