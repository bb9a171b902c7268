// Package keys is the key ring: it creates, loads and keeps the keys of the
// program, and hands out signers and seals, never keys.
//
// A key has exactly one use. The use "certificates" is the domain key of an
// identity host: RSA, 2048 bits, published in the support document and signing
// identity certificates (RS256). The use "session" is the secret that seals
// sign-in cookies (AES-256-GCM), one for the whole program.
//
// In the flows: a sign-in seals its cookie here (through idp/session), a
// certificate is signed here, and a verification of our own certificates reads
// the published keys here.
//
// # In the store
//
//	persona/keys/program/index.json        keys of the program
//	persona/keys/hosts/<host>/index.json   keys of one identity host
//	persona/keys/.../<kid>.pem             one key each, beside its index
//
// A key is written before the index that names it, so a crash leaves at worst a
// PEM file that no index names; it is ignored. What is there and cannot be used
// is an error that names it. It is never replaced: a new domain key would make
// every certificate in flight worthless, and a new secret would sign everybody
// out, so only a person may decide that.
package keys
