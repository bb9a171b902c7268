package route

import (
	"net/http"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/web"
)

// Class is the kind of a route. It alone decides the security headers; no
// handler sets one of them.
//
// None has a Cross-Origin-Opener-Policy: it would cut the popup from the page
// that opened it, and with it the way back for the assertion.
type Class int

// The classes.
const (
	// Page is read by a person and may not be framed.
	Page Class = iota
	// FramedPage is the provisioning page, which hubs frame.
	FramedPage
	// API answers our own pages in JSON.
	API
	// Document is the support document, which any server may read.
	Document
	// Script is loaded by pages of other authors.
	Script
	// Static is a file under a name that changes with its content. The pages of
	// websites' hosts load it, too.
	Static
	// Dialog is the hub's own page, in a popup. Sources are the provisioning
	// pages that it frames.
	Dialog
	// SilentFrame is the hub's page inside a relying party's.
	SilentFrame
	// Verification answers the servers of relying parties.
	Verification
	// Notice stands in place of a page of the website, in a frame, too. It has links
	// alone: no form, and no script that does anything but go back.
	Notice
	// Crossing is a page, or a redirect, between a website and its identity host.
	Crossing
	// Metadata is what programs and pages of any origin may read without a cookie: how to use
	// OpenID Connect here, and its keys.
	Metadata
	// Authorization is where an app sends a browser, from another site and by POST, too, and
	// from where it goes back. Sources are the origins of the apps, which its form may go to.
	Authorization
	// OAuth answers the apps themselves, in JSON and with the errors of RFC 6749, section
	// 5.2. No cookie counts there.
	OAuth
	// ForwardAuth answers the servers of neighbours' websites about a request of a browser,
	// whose fields this one has. It may have any method.
	ForwardAuth
)

// readByPeople reports whether a person sees what a route of the class answers.
func (c Class) readByPeople() bool {
	return c == Page || c == FramedPage || c == Dialog || c == SilentFrame || c == Notice || c == Crossing || c == Authorization
}

// FromAnywhere reports whether other sites may send the POSTs of a class. Servers do, where no
// cookie counts; and an app may send its people by one (OpenID Connect Core 1.0, section 3.1.2.1).
func (c Class) FromAnywhere() bool {
	return c == Verification || c == Authorization || c == OAuth
}

// Headers returns the security headers of a class on a host. sources are
// Route.Sources.
//
// Scripts, styles and requests are allowed by path and not by 'self', because a
// website behind us shares the origin, and what may be uploaded there must not
// become a script here.
func Headers(h *identity.Host, class Class, sources []string) http.Header {
	origin, static := h.Origin, h.Origin+web.StaticPrefix
	if h.Role != identity.Provider && h.Files != "" {
		static = h.Files + web.StaticPrefix
	}
	listed := strings.Join(sources, " ")
	forms := "form-action " + origin + "/persona/"
	if class == Authorization {
		forms = strings.TrimSpace("form-action " + listed)
	}
	page := policy(
		"default-src 'none'",
		"script-src "+static+" "+origin+"/persona/provisioning_api.js "+origin+"/persona/authentication_api.js",
		"style-src "+static, "img-src "+static, "connect-src "+origin+"/persona/api/", forms,
		"base-uri 'none'", "require-trusted-types-for 'script'",
	)
	hub := policy(
		"default-src 'none'", "script-src "+static, "style-src "+static,
		"connect-src "+origin+"/persona/api/ "+origin+"/persona/wsapi/",
		"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'",
	)
	nothing := policy("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'")
	switch class {
	case Page:
		return header(policy(page, "frame-ancestors 'none'"), "no-store", "same-origin")
	case Authorization:
		// An app by POST sees from which origin its people come.
		h := header(policy(page, "frame-ancestors 'none'"), "no-store", "same-origin")
		h.Set("Referrer-Policy", "strict-origin")
		return h
	case Crossing:
		// Its address may hold a code, and where the person was.
		h := header(policy(page, "frame-ancestors 'none'"), "no-store", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		return h
	case FramedPage:
		return header(policy(page, strings.TrimSpace("frame-ancestors 'self' "+listed)), "no-store", "cross-origin")
	case Document:
		return header(nothing, "public, max-age=3600", "cross-origin")
	case Metadata:
		to := header(nothing, "public, max-age=3600", "cross-origin")
		to.Set("Access-Control-Allow-Origin", "*")
		return to
	case Script:
		return header(nothing, "public, max-age=300", "cross-origin")
	case Static:
		to := header(nothing, "public, max-age=31536000, immutable", "cross-origin")
		to.Set("Access-Control-Allow-Origin", "*") // modules are asked for by CORS
		return to
	case Dialog:
		// The dialog shows a site's logo from anywhere. Sister hosts learn from
		// its referrer which hub sent the browser.
		to := header(policy(hub, "img-src "+static+" https: data:", "frame-src "+listed, "frame-ancestors 'none'"), "no-store", "same-origin")
		to.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		return to
	case SilentFrame:
		return header(policy(hub, "frame-ancestors "+listed), "no-store", "cross-origin")
	case Verification:
		// As the historic service answered, but for HSTS: whether the website of
		// this host is to be asked over TLS alone is not ours to say.
		to := header(nothing, "private, no-cache, no-store, must-revalidate, max-age=0", "same-origin")
		to.Set("X-Frame-Options", "DENY")
		return to
	case Notice:
		return header(policy("default-src 'none'", "script-src "+static, "style-src "+static, "img-src "+static,
			"form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"), "no-store", "same-origin")
	case API, ForwardAuth, OAuth:
	}
	return header(nothing, "no-store", "same-origin")
}

// policy joins the directives of a Content-Security-Policy.
func policy(directives ...string) string { return strings.Join(directives, "; ") }

func header(csp, cache, resource string) http.Header {
	return http.Header{
		"Content-Security-Policy":      {csp},
		"Cache-Control":                {cache},
		"Cross-Origin-Resource-Policy": {resource},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"same-origin"},
	}
}
