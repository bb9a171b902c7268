// Package assertion makes the JWT by which a website can verify who is signed in without
// trusting the network between (X-Persona-Assertion), and publishes the keys that verify
// it. docs/identity-headers.md is its contract with websites.
package assertion
