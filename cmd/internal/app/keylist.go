package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/keys"
)

// KeyLine is a key of the ring, for `persona keys list`. It holds nothing secret.
type KeyLine struct {
	ID, Host, Use, Algorithm string
	Created                  time.Time
	Retires                  time.Time // zero: current
	Fingerprint              string    // hex SHA-256 of the public key as published; "" for a symmetric key
}

// Keys reads the keys that lie in the state directory. It makes none.
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
