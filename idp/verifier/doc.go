// Package verifier finds the authority over a mail domain and verifies backed
// identity assertions. [Discovery] follows a domain's support documents to the
// authority over its addresses, also for the hub; [Verifier] verifies a bundle with
// the authority's keys; [API] answers websites that post one.
//
// What is refused is refused with the words of the historic verifiers wherever
// they had words for it. Where this verifier is stricter than they were, and why,
// is in docs/divergences.md.
package verifier
