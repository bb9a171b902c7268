// Package ldapauth asks a company's LDAP directory who somebody is: it checks
// passwords, re-reads people by an id that never changes, and says which
// e-mail addresses are theirs and nobody else's.
//
// Place in the flows (ARCHITECTURE.md): a sign-in calls [Directory.Authenticate],
// a certificate and the re-check of a live session call [Directory.Lookup]. The
// package knows nothing of HTTP, sessions or certificates.
//
// A password is checked by search, then bind: a pooled connection of the
// service account finds exactly one entry, a bind on another connection proves
// the password, and the entry is read again by its immutable id before anybody
// is let in. A bind never happens on a connection that searches, a referral is
// never followed, an alias never dereferenced, and an empty password never
// reaches the wire (RFC 4513 section 5.1.2).
//
// An error from this package means one thing only: the directory could not
// answer. A wrong password, an unknown name, a locked account are a [Result].
package ldapauth
