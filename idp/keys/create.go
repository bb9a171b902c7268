package keys

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"
)

// lockName is the store's lock that whoever writes keys holds. Under "persona/" locks
// end with the process that holds them.
const lockName = "persona/keys"

// missing picks the wanted keys that the ring does not hold. A corrupted one counts
// as missing: create looks whether it was mended meanwhile.
func (r *Ring) missing(want []Want) ([]Want, error) {
	var missing []Want
	var faults []error
	for _, w := range want {
		if _, err := w.alg(); err != nil {
			faults = append(faults, fmt.Errorf("making a key: %w", err))
			continue
		}
		if _, err := r.current(w.Host, w.Use); err != nil && !slices.Contains(missing, w) {
			missing = append(missing, w)
		}
	}
	return missing, errors.Join(faults...)
}

// create makes the missing keys under the store's lock.
func (r *Ring) create(ctx context.Context, missing []Want) (err error) {
	if err := r.store.Lock(ctx, lockName); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	defer func() {
		if unlockErr := r.store.Unlock(context.WithoutCancel(ctx), lockName); unlockErr != nil {
			err = errors.Join(err, fmt.Errorf("making keys: unlocking: %w", unlockErr))
		}
	}()
	var faults []error
	for _, w := range missing {
		faults = append(faults, r.createOne(ctx, w))
	}
	return errors.Join(faults...)
}

// createOne looks again, now that nobody else writes, and creates the key if it is
// still missing. What it puts into the ring was read back from the store.
func (r *Ring) createOne(ctx context.Context, w Want) error {
	s, err := r.loadShelf(ctx, shelfOf(w.Host))
	if err != nil {
		return err
	}
	if s.fault == nil && s.current(w.Use) == nil {
		if err := r.add(ctx, s, w); err != nil {
			return fmt.Errorf("making a key (use %q, host %q): %w", w.Use, w.Host, err)
		}
		if s, err = r.loadShelf(ctx, s.name); err != nil {
			return err
		}
	}
	r.put(s)
	return s.fault
}

// add writes a new key, and then the index that names it. When the second step does
// not come about, the key stays behind: the store may have written the index and
// yet have reported an error, so nothing may be taken back.
func (r *Ring) add(ctx context.Context, s *shelf, w Want) error {
	alg, err := w.alg()
	if err != nil {
		return err
	}
	k, file, err := newKey(r.rand, alg)
	if err != nil {
		return err
	}
	next := s.index
	next.Keys = append(slices.Clone(s.index.Keys), indexEntry{
		KID: k.entry.KID, Use: w.Use, Alg: alg, Created: r.now().UTC().Truncate(time.Second),
	})
	data, err := next.marshal()
	if err != nil {
		return err
	}
	if err := r.store.Store(ctx, path.Join(s.name, k.entry.KID+".pem"), file); err != nil {
		return err
	}
	if err := r.store.Store(ctx, path.Join(s.name, indexName), data); err != nil {
		return err
	}
	r.log.Info().Str("use", string(w.Use)).Str("host", w.Host).Str("kid", k.entry.KID).Msg("made a new key")
	return nil
}
