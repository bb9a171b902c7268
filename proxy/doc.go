// Package proxy is the front door of the sidecar. Its Edge decides what becomes
// of every request: an ACME challenge, a path that the program keeps for itself
// (an intercept), a redirect to HTTPS, or the website behind it.
//
// The way of a request: listener → TLS (proxy/certs) → proxy/middleware → Edge →
// an intercept, or a site's handler (proxy/upstream). Nothing on this way cleans
// or redirects a path: what the client sent is what the website sees, so no
// http.ServeMux may ever stand here.
//
// The package knows no path of the identity provider: intercepts are handed in.
package proxy
