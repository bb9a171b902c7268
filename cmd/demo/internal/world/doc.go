// Package world builds the demo's whole world on one machine: a throw-away CA, the embedded directory with sample
// people, the sample website, and in front of them the sidecar itself, run by [app.App] from a configuration file as an
// administrator would write one. Everything lies in one temporary folder, which goes when the world ends.
//
// All flows run here on real sockets and real TLS; nothing of the sidecar is replaced.
package world
