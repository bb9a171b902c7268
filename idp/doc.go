// Package idp is the identity provider: it answers /.well-known/browserid and
// everything under /persona/ on the hosts it is given, and nothing else.
//
// Its place in the flows:
//
//   - A sign-in: the authentication page posts a name and a password, the
//     [Throttle] admits the attempt, the [Directory] answers, and a session
//     (package session) is sealed into a cookie.
//   - A certificate: the provisioning page, framed by a hub, posts an address
//     and the browser's public key; the person is read again from the
//     directory, and the host's key (package keys) signs an identity
//     certificate (package browserid).
//   - A sign-in to a relying party: its page loads include.js, which opens the
//     dialog; that asks whether the site may use this hub (package hub), frames
//     the provisioning page and hands an assertion back.
//   - A verification: the support document published here holds the key with
//     which anybody verifies such a certificate.
//
// Server routes by an exact table (routes.go); each route belongs to a class
// that sets all its security headers (headers.go). Handlers return an error
// and never write one (errors.go). Directory is declared here, by its
// consumer; package ldapauth satisfies it through an adapter.
package idp
