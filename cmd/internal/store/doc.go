// Package store keeps what must outlive the process, in one directory (state_dir):
// TLS certificates and the ACME account, which certmagic writes, and, under
// "persona/", the key ring and the sign-outs.
//
// A store has three shapes: lasting values with locks, values that expire, and
// counters. Package storetest has their contracts and the suite for each; package
// idp/memory is the same for one process. Consumers declare the part that they use.
package store
