// Package idp is the identity provider: one directory session (package
// session), one key ring (package keys), many envelopes. [Server] answers
// /persona/ and the well-known paths of its hosts with the routes that the
// envelopes contribute, and nothing else.
//
// A sign-in is in package signin, a certificate in package provision; package
// hub serves other websites, package verifier their servers. Each is an
// [Envelope]; a new one is one package and one more argument of [New].
package idp
