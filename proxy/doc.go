// Package proxy holds the servers and their Edge, which gives each request to an
// ACME challenge, to an intercept (paths that the program answers itself), to a
// redirect to HTTPS, or to the website. Nothing here cleans or redirects a path, so
// no http.ServeMux is used: the website sees what the client sent.
package proxy
