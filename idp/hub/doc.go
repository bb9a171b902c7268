// Package hub is the server side of the former login.persona.org, on every
// identity host: include.js, the dialog, the silent frame, and the answers to
// which authority confirms an address and which sites may ask for one.
package hub
