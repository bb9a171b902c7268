// Package directory is the demo's LDAP directory: a small, honest, read-only server with sample people, so that the
// demo needs nothing but Go. It speaks LDAPv3 (RFC 4511) over TLS alone, and stands where a company's own directory
// stands in the sign-in and certificate flows: ldapauth searches it as a service account, then binds as the person.
//
// It keeps the rules that make a directory safe to build on: no bind without a password (RFC 4513, section 5.1.2),
// nothing to read for strangers, size limits obeyed, operational attributes sent only when asked for, and password
// policy told by the control of draft-behera-ldap-password-policy. It has no disk, no schema and no writes.
package directory
