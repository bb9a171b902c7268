// Package conformance holds the tests of the whole program's edge against public knowledge: a corpus of odd requests, one
// of odd answers of a website, the conformance suites of others, and slow clients. `make conformance` runs all of them,
// and README.md beside this file explains the corpus.
package conformance
