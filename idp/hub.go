package idp

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/web"
)

// Hub makes every identity host the hub of its site: it serves include.js, the
// dialog and the silent frame.
type Hub struct {
	// RelyingParties are the sites that may use it.
	RelyingParties hub.RelyingParties
	// Discovery looks up the authorities of other domains; nil: they cannot be
	// looked up.
	Discovery hub.Discovery
}

const (
	pathDialog         = "/persona/sign_in"
	pathSilentFrame    = "/persona/communication_iframe"
	pathAddressInfo    = "/persona/wsapi/address_info"
	pathSessionContext = "/persona/wsapi/session_context"
	pathRelyingParty   = "/persona/wsapi/relying_party"

	scriptInclude = "include.js"
)

// hubRoutes are the further routes of an identity host that is a hub.
func (s *Server) hubRoutes(host identity.Host) (map[string]route, error) {
	if s.config.Hub == nil {
		return nil, nil
	}
	asset, err := s.web.Script(scriptInclude, []string{host.Hub()})
	if err != nil {
		return nil, err
	}
	return map[string]route{
		"/persona/" + scriptInclude: {class: script, methods: get(serveAsset(asset)), keyless: true},
		pathDialog:                  {class: dialog, methods: get(s.getDialog), keyless: true},
		pathSilentFrame:             {class: silentFrame, methods: get(s.getSilentFrame), keyless: true},
		pathAddressInfo:             {class: api, methods: get(s.getAddressInfo), keyless: true},
		pathSessionContext:          {class: api, methods: get(s.getSessionContext)},
		pathRelyingParty:            {class: api, methods: get(s.getRelyingParty), keyless: true},
	}, nil
}

// addHub adds what a hub serves to a site.
func (s *Server) addHub(site *site) error {
	routes, err := s.hubRoutes(site.host)
	if err != nil || routes == nil {
		return err
	}
	maps.Copy(site.routes, routes)
	site.serves = servedBy(site.host, s.config.Hosts)
	maps.Copy(site.policies, hubPolicies(site.host.Origin, site.serves, s.config.Hub.RelyingParties.Sources()))
	return nil
}

// servedBy lists the identity hosts whose provisioning pages a host's dialog
// may frame: its own, and those that name it as a hub.
func servedBy(host identity.Host, all []identity.Host) []identity.Host {
	served := []identity.Host{host}
	for _, other := range all {
		if other.Role == identity.Provider && other.Name != host.Name && slices.Contains(other.Hubs, host.Hub()) {
			served = append(served, other)
		}
	}
	return served
}

// ownAuthorities are the authorities of all mail domains that we answer for.
func ownAuthorities(hosts []identity.Host) map[string]hub.Authority {
	own := map[string]hub.Authority{}
	for _, host := range hosts {
		switch host.Role {
		case identity.Provider:
			for _, domain := range host.Domains {
				own[domain] = hub.Authority{
					Issuer: host.Name, Authentication: host.Origin + pathAuthenticate, Provisioning: host.Origin + pathProvision,
				}
			}
		case identity.Disabled:
			own[host.Name] = hub.Authority{Disabled: true}
		}
	}
	return own
}

// hubPolicies are the headers of the dialog and of the silent frame. The
// dialog may frame the provisioning pages that it serves, and show a site's
// logo from anywhere; sister hosts learn from its referrer which hub sent the
// browser. The silent frame may be framed by the relying parties.
func hubPolicies(origin string, served []identity.Host, parties []string) policies {
	var frames []string
	for _, host := range served {
		frames = append(frames, host.Origin+pathProvision)
	}
	static := origin + web.StaticPrefix
	own := []string{
		"default-src 'none'", "script-src " + static, "style-src " + static,
		"connect-src " + origin + "/persona/api/ " + origin + "/persona/wsapi/",
		"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'",
	}
	csp := func(more ...string) string { return strings.Join(slices.Concat(own, more), "; ") }
	forDialog := header(csp("img-src "+static+" https: data:", "frame-src "+strings.Join(frames, " "), "frame-ancestors 'none'"), "no-store", "same-origin")
	forDialog.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	return policies{
		dialog:      forDialog,
		silentFrame: header(csp("frame-ancestors "+strings.Join(parties, " ")), "no-store", "cross-origin"),
	}
}

// issuer is an identity host as the dialog knows it.
type issuer struct {
	Name   string `json:"name"`
	Origin string `json:"origin"`
}

type dialogPage struct {
	frame
	// Issuers are the identity hosts that the dialog serves, its own first.
	Issuers []issuer
}

// getDialog serves the dialog. Its modules do the work; it says nothing about
// anybody.
func (s *Server) getDialog(w http.ResponseWriter, _ *http.Request, site *site) error {
	data := dialogPage{frame: site.frame()}
	data.Website = false // a popup is no place to go on from
	for _, host := range site.serves {
		data.Issuers = append(data.Issuers, issuer{host.Name, host.Origin})
	}
	return s.render(w, http.StatusOK, "sign_in", data)
}

type silentFramePage struct {
	frame
	Issuer string
	// SameSite says that the page which frames this one is on our site, so
	// that the browser shows our cookies and storage here as they are.
	SameSite bool
}

// getSilentFrame serves the frame by which include.js learns who is signed in.
func (s *Server) getSilentFrame(w http.ResponseWriter, r *http.Request, site *site) error {
	from := r.Header.Get("Sec-Fetch-Site")
	return s.render(w, http.StatusOK, "communication_iframe", silentFramePage{
		frame: site.frame(), Issuer: site.host.Name, SameSite: from == "same-origin" || from == "same-site",
	})
}
