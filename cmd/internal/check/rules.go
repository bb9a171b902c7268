package check

import (
	"net/http"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// cacheRule: everybody's lookups of a document are alike, so it may be kept for
// a while, and carries no cookie.
func cacheRule(p *published) Finding {
	var f faults
	header := p.answer.Header
	control := strings.ToLower(header.Get("Cache-Control"))
	if len(header.Values("Set-Cookie")) > 0 {
		f.warn("send no cookie with the document", "it sets a cookie")
	}
	switch {
	case strings.Contains(control, "no-store"), strings.Contains(control, "private"):
		f.warn("allow caching, as with Cache-Control: public, max-age=3600", "nobody may keep it: %s", control)
	case control == "" && header.Get("Expires") == "":
		f.warn("say how long it may be kept, as with Cache-Control: public, max-age=3600", "it does not say how long it may be kept")
	}
	return f.finding("%s", control)
}

// compareRole says whether a document of ours is the one that the configuration
// asks for.
func compareRole(p *published, host config.Host) Finding {
	const cure = "is another program, or this one with another configuration, answering there? Restart the program after changes"
	var as bool
	switch document := p.document.(type) {
	case browserid.Support:
		as = host.Role == config.RoleIdentity
	case browserid.Delegation:
		as = host.Role == config.RoleDelegating && document.Authority == host.Authority
	case browserid.Disabled:
		as = host.Role == config.RoleDisabled
	}
	if !as {
		return failed(cure, "the configuration says %s, the document %s", roleInWords(host), p.kind())
	}
	return passed("%s", roleInWords(host))
}

func roleInWords(host config.Host) string {
	switch host.Role {
	case config.RoleIdentity:
		return "identity host, signs for " + strings.Join(host.MailDomains, ", ")
	case config.RoleDelegating:
		return "delegates to " + host.Authority
	case config.RoleDisabled:
		return "disabled"
	case config.RolePlain:
	}
	return "website only"
}

// cutsPopups says whether a Cross-Origin-Opener-Policy parts a popup from the
// page that opened it, and returns the policy.
func cutsPopups(header http.Header, opener bool) (policy string, cuts bool) {
	policy, _, _ = strings.Cut(header.Get("Cross-Origin-Opener-Policy"), ";")
	policy = strings.ToLower(strings.TrimSpace(policy))
	switch policy {
	case "same-origin", "same-origin-plus-coep", "noopener-allow-popups":
		return policy, true
	case "same-origin-allow-popups": // lets a page's own popups be, not it as a popup
		return policy, !opener
	}
	return policy, false
}
