// Package ldapauth authenticates people against a company's LDAP directory: it
// checks passwords, re-reads people by an id that never changes, and returns the
// e-mail addresses that are theirs alone.
//
// A password is checked by search, then bind: a pooled connection of the
// service account finds exactly one entry, a bind on another connection proves
// the password, and another search shows that no other entry has an address
// of the person before the sign-in succeeds. A bind never happens on a connection that searches, a referral
// is never followed, an alias never dereferenced, and an empty password never
// reaches the network (RFC 4513 section 5.1.2).
//
// An error from this package means one thing only: the directory could not
// answer. A wrong password, an unknown name, a locked account are an [identity.Result].
package ldapauth
