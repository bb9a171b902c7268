//go:build race

package idptest

// underRace: the race detector is on.
const underRace = true
