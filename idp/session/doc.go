// Package session is the one directory session: [Manager.Current] returns who is
// signed in by a request, since when, how fresh, and until when, and [Manager.Visit]
// the same for a request to a website.
//
// The session is sealed into the cookie "__Host-persona" (RFC 6265bis, section
// 4.1.3.2) and bound to this purpose, to the identity host and to its directory; at the
// host of a website into "__Host-persona-site", bound to that host as well. Nothing is
// kept in the store for a person who is signed in, only the sign-outs: a record for
// each, until the cookie would have expired. A store that cannot answer is an error, and
// an error is never a signed-in person.
package session
