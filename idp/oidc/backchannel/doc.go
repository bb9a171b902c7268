// Package backchannel tells apps that a session has ended, by OpenID Connect Back-Channel Logout 1.0.
// It remembers in the store which apps a session signed in to, and sends each of them a logout token
// when the session ends before its time. An app that does not answer delays no other one.
package backchannel
