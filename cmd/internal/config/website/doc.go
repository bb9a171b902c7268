// Package website has the keys by which the website of a domain is told who is signed in
// ([Headers]) and by which parts of it are closed to others ([Rule]), and the rules
// that concern several of these keys together.
package website
