// Package ldaptest starts real directory servers for tests (OpenLDAP, 389
// Directory Server, Samba as an Active Directory): on loopback, in a temporary
// directory, with their own certificate authority and a small sample company. It
// is used by the tests of ldapauth and by end-to-end tests of the whole program;
// nothing of it is linked into the program.
package ldaptest
