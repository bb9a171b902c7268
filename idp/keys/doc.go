// Package keys is the key ring: it creates, loads and keeps the keys of the
// program, and hands out signers and seals, never private keys.
//
// A key has exactly one use, and each use one algorithm. [UseCertificates] is the
// domain key of an identity host; [UseAssertions] its key for what tells websites who is
// signed in, and [UseOpenID] the one for the tokens of OpenID Connect; [UseSession] is the
// secret of the program that seals sign-in cookies.
//
// # In the store
//
// The keys of a host are one value, persona/keys/<host>.json, and those of the
// program are persona/keys/_program.json:
//
//	{"version": 2, "host": "example.com", "keys": [
//	  {"kid": "…", "use": "certificates", "alg": "RS256", "created": "…", "pkcs8": "base64 of PKCS #8"}]}
//
// A secret stands in "secret" instead of "pkcs8". A key that is being replaced
// has "retires", the time from which it is no longer used; nothing sets it yet.
//
// A keyset that cannot be used is an error that names the file. It is never
// replaced: a new domain key makes every certificate in flight worthless, and a
// new secret signs everyone out, so that is the operator's decision.
package keys
