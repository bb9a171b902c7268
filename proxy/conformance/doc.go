// Package conformance holds a corpus of odd requests and one of odd answers of a website, from public knowledge. Its tests
// run the whole program against them, against the conformance suites of others, and against slow clients; `make conformance`
// runs all of that, and README.md beside this file explains the corpus.
package conformance
