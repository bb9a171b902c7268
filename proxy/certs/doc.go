// Package certs obtains, renews and serves the TLS certificates of the host names
// that persona serves. A [Source] is one of:
//
//   - [ACME] obtains certificates from an ACME server (RFC 8555) in the
//     background, answers the HTTP-01 and TLS-ALPN-01 challenges (RFC 8555
//     section 8.3, RFC 8737) on the program's own listeners and renews in time.
//     An ACME server that is down never keeps the program from starting, and a
//     program that is restarted again and again does not use up its limits: the
//     outcome of each order is kept in the storage. A certificate of the
//     operator's own may stand in until the first one is obtained.
//
//   - [Files] reads a certificate and its key from two files and reads them
//     again when they change.
//
//   - [None] is for a program behind a proxy that terminates TLS.
//
// The first two give the same TLS policy: TLS 1.2 and 1.3, AEAD cipher suites only, h2
// and http/1.1.
//
// No client can make the program ask for a certificate by naming a host in a
// handshake: certificates are obtained for the configured names only.
package certs
