// Package website has the keys by which the website of a domain is told who is signed in
// ([Headers]) and by which parts of it are closed to others ([Rule]), those of applications that
// sign people in by OpenID Connect ([App]), and the rules that concern several of these keys together.
package website
