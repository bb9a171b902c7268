// Package trip makes the demo's whole trip by itself, as a browser and a relying party would: the website through the
// proxy, the support document, a sign-in, a certificate, an assertion, and the doors that have to stay shut. It knows
// the sidecar from outside alone: by HTTP over real TLS, and by what it publishes.
//
// Its steps follow the flows of a proxied request, a sign-in, a certificate and a verification, in that order.
package trip
