//go:build !race

package idptest

// underRace: the race detector is off.
const underRace = false
