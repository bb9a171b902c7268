// Package relyingpartytest runs the example websites of deploy/relying-party as what they are,
// programs of their own, for tests that sign people in there.
//
// Its place in the flows is the relying party's: a test plays the browser, and a verifier answers.
package relyingpartytest
