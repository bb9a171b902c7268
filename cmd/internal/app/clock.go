package app

import "time"

// clockSkew is how far the clocks of machines that share keys may differ.
const clockSkew = time.Minute

// suspectClock looks whether a key was made later than now. A clock that is behind makes certificates
// that have expired when they arrive, and those who were signed in seem to come from the future.
// One that is ahead cannot be told from the passing of time.
func (a *App) suspectClock() {
	now := a.Now()
	for _, entry := range a.ring.Entries() {
		if entry.Created.After(now.Add(clockSkew)) {
			a.Log.Warn().Str("use", string(entry.Use)).Str("host", entry.Host).Str("kid", entry.KID).
				Time("created", entry.Created).Time("now", now).
				Str("hint", "check this machine's clock").Msg("a key was made in the future")
			return
		}
	}
}
