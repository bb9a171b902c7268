// Package web holds what browsers get from the identity provider: templates
// of its pages, the styles and modules that these load, and the scripts that
// pages of other authors load.
//
// Its place in the flows: the authentication page and its module begin and end
// a sign-in; the provisioning page and its module carry a certificate request. The dialog
// (static/dialog), the silent frame and include.js are the hub: the way from a
// relying party to both, and back with an assertion.
// The files are plain: no build step, no inline script or style, nothing from
// outside.
package web
