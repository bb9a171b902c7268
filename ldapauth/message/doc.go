// Package message encodes and decodes the messages of LDAP (RFC 4511) that a client needs: bind, search,
// extended requests and their answers. It does no I/O of its own but to cut one message from a stream.
package message
