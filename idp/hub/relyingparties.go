package hub

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"persona-sidecar/idp/browserid"
)

// AnySite is the pattern that opens a hub to every site.
const AnySite = "*"

// RelyingParties are the sites that may use a hub. The zero value allows none.
type RelyingParties struct {
	anySite bool
	origins []string // canonical origins
	below   []below
}

// below is every host below a domain, under one scheme and port.
type below struct {
	prefix string // https://
	suffix string // .example.com, or .example.com:8443
}

// NewRelyingParties reads patterns: an origin such as https://app.example.com
// or http://localhost:3000; https://*.example.com for every host below
// example.com, with a port if it is not 443; or [AnySite].
func NewRelyingParties(patterns []string) (RelyingParties, error) {
	var r RelyingParties
	for _, pattern := range patterns {
		if err := r.add(pattern); err != nil {
			return RelyingParties{}, fmt.Errorf("relying party %q: %w", pattern, err)
		}
	}
	return r, nil
}

func (r *RelyingParties) add(pattern string) error {
	if pattern == AnySite {
		r.anySite = true
		return nil
	}
	const wildcard = "https://*."
	domain, wild := strings.CutPrefix(pattern, wildcard)
	if !wild {
		domain = strings.TrimPrefix(pattern, "https://")
	}
	origin := pattern
	if wild {
		origin = "https://" + domain
	}
	canonical, err := browserid.ParseAudience(origin)
	switch {
	case err != nil:
		return err
	case canonical != origin:
		return fmt.Errorf("write it as %s", strings.Replace(canonical, "https://", pattern[:len(pattern)-len(domain)], 1))
	case wild:
		r.below = append(r.below, below{"https://", "." + domain})
	default:
		r.origins = append(r.origins, origin)
	}
	return nil
}

// DefaultRelyingParties are the patterns for a company's own sites: each of
// its hosts and every host below one, over https on the default port, and the
// origins that are given besides. An IP address counts by its origin alone: nothing is
// below it.
func DefaultRelyingParties(hosts []string, origins ...string) []string {
	var patterns []string
	for _, host := range hosts {
		if _, err := netip.ParseAddr(host); err == nil {
			continue
		}
		patterns = append(patterns, "https://"+host, "https://*."+host)
	}
	patterns = append(patterns, origins...)
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

// Allow reports whether the site of an origin, as a browser writes it, may use
// the hub.
func (r RelyingParties) Allow(origin string) bool {
	canonical, err := browserid.ParseAudience(origin)
	if err != nil || canonical != origin {
		return false
	}
	if r.anySite || slices.Contains(r.origins, origin) {
		return true
	}
	return slices.ContainsFunc(r.below, func(b below) bool {
		return strings.HasPrefix(origin, b.prefix) && strings.HasSuffix(origin, b.suffix) &&
			len(origin) > len(b.prefix)+len(b.suffix)
	})
}

// Sources writes the sites as the sources of a Content-Security-Policy.
func (r RelyingParties) Sources() []string {
	if r.anySite {
		return []string{"https:", "http:"}
	}
	sources := slices.Clone(r.origins)
	for _, b := range r.below {
		sources = append(sources, b.prefix+"*"+b.suffix)
	}
	if len(sources) == 0 {
		return []string{"'none'"}
	}
	return sources
}
