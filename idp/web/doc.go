// Package web holds what browsers get from the identity provider: templates
// of its pages, the styles and modules that these load, and the scripts that
// pages of other authors load.
//
// Its place in the flows: the authentication page and its module begin and end
// a sign-in; the provisioning page and its module carry a certificate request.
// The files are plain: no build step, no inline script or style, nothing from
// outside.
package web
