// Package browserid is the BrowserID protocol (Mozilla Persona) and nothing
// else: e-mail addresses, public keys, support documents, identity
// certificates, identity assertions, and the bundle of the two.
//
// It is pure. It reads no file, opens no connection and knows no clock: what
// varies (time, randomness, the private key) is passed in. It imports the
// standard library only.
//
// Its place in the flows of the program:
//
//   - A certificate: provision parses the browser's key with [ParsePublicKey], asks
//     [Issuer.CheckClientKey] and signs with [Issuer.Sign].
//   - A support document: provision writes it with [MarshalDocument]; a look-up of a
//     domain reads it with [ParseDocument].
//   - A verification: [ParseBundle], then the keys of the issuer are found, then
//     [Bundle.Verify]. That the issuer may speak for the address's domain is
//     not decided here: it needs a look-up, and is the caller's duty.
//
// # Times
//
// On the wire times are integer milliseconds since 1970. In this package, and
// everywhere else in the program, they are [time.Time] and [time.Duration];
// time.go is the only place that converts.
//
// # How strict
//
// Input is not trusted, so each thing has one spelling: base64url
// without padding, line breaks or stray bits; JSON without repeated members;
// numbers without leading zeros; domains and authorities in lower case.
// What the historic verifiers tolerated beyond that is refused, with these
// exceptions: an RSA signature whose leading zero bytes were dropped (the
// reference signer does that now and then), capitals in the local part of a
// certificate's address, which are for a verifier to refuse by
// [Address.HasCapitals], and unknown members, which are ignored, as the
// specification asks.
//
// Supported are RSA keys of the historic sizes 1024 and 2048 bit, for browsers
// also one bit short of these, and DSA keys in the two historic groups. What is
// not RSA of 2048 or 2047 bit is certified only where [NewIssuer] is asked for
// it, and is for a verifier to refuse by [PublicKey.CheckClientKey].
//
// The specification: https://github.com/mozilla/id-specs, browserid/index.md.
// Where deployed code differed from it, deployed code is followed.
package browserid
