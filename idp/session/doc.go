// Package session is the sign-in cookie: who is signed in, since when, and whether
// that still holds.
//
// In the flows: a sign-in ends with Start, which seals the session into the cookie
// "__Host-persona" (RFC 6265bis, section 4.1.3.2); a certificate request, the person's
// page and the dialog begin with Read; signing out is End.
//
// The cookie is the session: nothing is kept on the server for a person who is
// signed in. What is kept is who is not any more. End records the session's id in the
// store until the cookie would have expired, EndPerson records that all sessions of
// a person that exist now are over, and Read asks for both. A store that cannot answer
// therefore makes Read an error, and an error is never a signed-in person.
//
// The cookie is sealed by idp/keys and bound to this purpose, to the identity host
// and to the directory: on any other host, or after the host was given another
// directory, it is as good as none.
package session
