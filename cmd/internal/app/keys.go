package app

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
)

// KeyLine is a key of the ring, for `persona keys list`. It holds nothing secret.
type KeyLine struct {
	ID, Host, Use, Algorithm string
	Created                  time.Time
	Retires                  time.Time // zero: current
	Fingerprint              string    // hex SHA-256 of the public key as published; "" for a symmetric key
}

// Keys reads the keys in the state directory. It creates none.
func Keys(ctx context.Context, o Options) ([]KeyLine, error) {
	o = o.withDefaults()
	if _, err := os.Stat(o.Config.StateDir); err != nil {
		// Opening would make the folder, owned by the user who lists the keys.
		return nil, &hinted{fmt.Errorf("reading state_dir: %w", err), "`persona serve` makes it at its first start"}
	}
	files, err := store.OpenFiles(o.Config.StateDir, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	ring := keys.New(keys.Config{Store: files, Now: o.Now, Rand: o.Rand, Log: o.Log})
	if err := ring.Load(ctx); err != nil {
		return nil, fmt.Errorf("loading the keys: %w", err)
	}
	var lines []KeyLine
	for _, entry := range ring.Entries() {
		line := KeyLine{
			ID: entry.KID, Host: entry.Host, Use: string(entry.Use), Algorithm: entry.Alg,
			Created: entry.Created, Retires: entry.Retires,
		}
		if entry.Key != nil {
			public, err := browserid.NewPublicKey(entry.Key)
			if err != nil {
				return nil, fmt.Errorf("reading the key %s of %s: %w", entry.KID, entry.Host, err)
			}
			line.Fingerprint = public.Fingerprint()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// clockSkew is how far the clocks of machines that share keys may differ.
const clockSkew = time.Minute

// warnOfClock warns if a key was created later than now. A clock that is behind makes certificates
// that have expired when they arrive, and refuses sessions as being from the future. A clock that is
// ahead cannot be detected.
func (p *process) warnOfClock() {
	now := p.now()
	for _, entry := range p.ring.Entries() {
		if entry.Created.After(now.Add(clockSkew)) {
			p.log.Warn().Str("use", string(entry.Use)).Str("host", entry.Host).Str("kid", entry.KID).
				Time("created", entry.Created).Time("now", now).
				Str("hint", "check this machine's clock").Msg("key creation time is in the future")
			return
		}
	}
}

// makeKeys makes the keys that the store lacks, and tries until it succeeds. It is no part of the
// start because another process may be making them, and because a disk may be full; until it is done
// the identity paths answer 503 and the website is served.
func (g *generation) makeKeys(ctx context.Context) {
	want := []keys.Want{{Use: keys.UseSession}}
	for _, host := range g.hosts {
		if host.Role == config.RoleIdentity {
			want = append(want, keys.Want{Host: host.Name, Use: keys.UseCertificates})
			if slices.ContainsFunc(g.hosts, func(h config.Host) bool { return h.SignIn == host.Name }) ||
				slices.ContainsFunc(g.config.ForwardAuth, func(n website.Neighbour) bool { return n.Authority == host.Name }) {
				want = append(want, keys.Want{Host: host.Name, Use: keys.UseAssertions})
			}
			if g.hasApps(host.Name) {
				want = append(want, keys.Want{Host: host.Name, Use: keys.UseOpenID})
			}
		}
	}
	if len(want) == 1 {
		return // there is no sign-in here
	}
	for pause := keysRetryFirst; ; pause = min(2*pause, keysRetryMost) {
		err := g.ring.Ensure(ctx, want...)
		if ctx.Err() != nil {
			return
		}
		if g.health.report("keys", err) && err != nil {
			hint := cmp.Or(identity.Hint(err), "check that state_dir is writable and has room")
			g.log.Error().Err(err).Str("hint", hint+"; until the keys are created no one can sign in").Msg("creating keys")
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
