// Package store holds what must outlive the process: TLS certificates and the
// ACME account (written by certmagic), and, under "persona/", the key ring and
// the sign-outs.
//
// It stands under all three flows: proxy/certs keeps its certificates here,
// idp/keys its keys, idp/session its revocations. They see it only through the
// small interfaces that they declare themselves.
//
// Files keeps everything in one directory (state_dir). Another store, shared by
// several machines, has to pass the same suite: package storetest.
package store
