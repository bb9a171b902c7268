// Package verifier finds out who speaks for a mail domain, and whether a
// backed identity assertion is to be believed.
//
// Its place in the flows:
//
//   - A look-up: [Discovery.Discover] follows a domain's support documents to
//     the authority over its addresses. Our own domains are answered from
//     memory; for others their web servers are asked, guarded, and what they
//     said is kept for a while. The verifier uses it, and so does the hub.
//   - A verification: a website posts assertion and audience to [API], which
//     reads the request and asks [Verifier.Verify]; that parses the bundle
//     (package browserid), discovers the authority of the address's domain and
//     checks signatures, times, audience and that the issuer is this authority.
//
// What is refused is refused with the words of the historic verifiers wherever
// they had words for it. Where this verifier is stricter than they were, and
// why, stands in docs/divergences.md.
package verifier
