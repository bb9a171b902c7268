package keys

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

// Where the shelves lie in the store.
const (
	root         = "persona/keys"
	programShelf = root + "/program"
	hostShelves  = root + "/hosts/"
	indexName    = "index.json"
)

// shelf is one index and the keys that it names: those of one identity host, or
// those of the program.
type shelf struct {
	name  string // the shelf's path in the store
	index index
	keys  []*key // in the order of preference: current ones first, youngest first
	fault error  // why the shelf cannot be used; then it holds no keys
}

// key is an entry together with the key itself: signer and public for RS256, secret
// for A256GCM.
type key struct {
	entry  Entry
	signer crypto.Signer
	public *browserid.PublicKey
	secret *secret
}

func (k *key) retired(now time.Time) bool {
	return !k.entry.Retires.IsZero() && !now.Before(k.entry.Retires)
}

// preferred orders the current keys before those that retire, and the younger before
// the older.
func preferred(a, b *key) int {
	switch aRetires, bRetires := !a.entry.Retires.IsZero(), !b.entry.Retires.IsZero(); {
	case aRetires == bRetires:
		return b.entry.Created.Compare(a.entry.Created)
	case aRetires:
		return 1
	}
	return -1
}

func (s *shelf) current(use Use) *key {
	for _, k := range s.keys {
		if k.entry.Use == use && k.entry.Retires.IsZero() {
			return k
		}
	}
	return nil
}

// shelfOf names the shelf of an identity host, or for "" of the program.
func shelfOf(host string) string {
	if host == "" {
		return programShelf
	}
	return hostShelves + host
}

// hostOf is the reverse of shelfOf.
func hostOf(shelf string) string {
	if shelf == programShelf {
		return ""
	}
	return strings.TrimPrefix(shelf, hostShelves)
}

// CorruptedError says that something of the key ring is there and cannot be used.
// It counts as ErrNotReady too.
type CorruptedError struct {
	File string // the index or the key
	Cure string // what a person can do
	Err  error  // what is wrong with the file
}

func (e *CorruptedError) Error() string {
	return fmt.Sprintf("reading the key ring: %s: %v (hint: %s)", e.File, e.Err, e.Cure)
}

// Unwrap returns the cause, and ErrNotReady.
func (e *CorruptedError) Unwrap() []error { return []error{e.Err, ErrNotReady} }

// load reads every shelf anew.
func (r *Ring) load(ctx context.Context) error {
	found, err := r.store.List(ctx, root, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the key ring: %w", err)
	}
	shelves := map[string]*shelf{}
	var faults []error
	for _, name := range indexed(found) {
		s, err := r.loadShelf(ctx, name)
		if err != nil {
			return err
		}
		shelves[name] = s
		faults = append(faults, s.fault)
		r.logOrphans(s, found)
	}
	r.shelves.Store(&shelves)
	return errors.Join(faults...)
}

// indexed picks the shelves that have an index out of a list of store keys.
func indexed(found []string) []string {
	var names []string
	for _, name := range found {
		dir, base := path.Split(name)
		if base == indexName && (dir == programShelf+"/" || strings.HasPrefix(dir, hostShelves)) {
			names = append(names, strings.TrimSuffix(dir, "/"))
		}
	}
	slices.Sort(names)
	return names
}

// logOrphans tells of key files that no index names: a crash left them, or a hand.
func (r *Ring) logOrphans(s *shelf, found []string) {
	for _, name := range found {
		if path.Dir(name) != s.name || path.Ext(name) != ".pem" || s.fault != nil {
			continue
		}
		kid := strings.TrimSuffix(path.Base(name), ".pem")
		if !slices.ContainsFunc(s.keys, func(k *key) bool { return k.entry.KID == kid }) {
			r.log.Info().Str("file", r.file(name)).Msg("a key that no index names is not used")
		}
	}
}

// loadShelf reads one shelf. What is wrong with it becomes its fault; the error is
// only for a context that has ended. A missing index makes an empty shelf.
func (r *Ring) loadShelf(ctx context.Context, name string) (*shelf, error) {
	s := &shelf{name: name, index: index{Version: indexVersion, Host: hostOf(name)}}
	data, err := r.store.Load(ctx, path.Join(name, indexName))
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the key ring: %w", ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		s.fault = unreadable(err)
		return s, nil
	}
	if s.index, err = parseIndex(data, hostOf(name)); err != nil {
		s.fault = r.corrupted(name, indexName, err)
		return s, nil
	}
	for _, e := range s.index.Keys {
		k, err := r.loadKey(ctx, name, e.entry(s.index.Host))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("reading the key ring: %w", ctx.Err())
		}
		if err != nil {
			return &shelf{name: name, index: s.index, fault: err}, nil
		}
		s.keys = append(s.keys, k)
	}
	slices.SortStableFunc(s.keys, preferred)
	return s, nil
}

func (r *Ring) loadKey(ctx context.Context, shelf string, e Entry) (*key, error) {
	name := e.KID + ".pem"
	data, err := r.store.Load(ctx, path.Join(shelf, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.corrupted(shelf, name, errors.New("the index names this key, but the file is missing"))
	}
	if err != nil {
		return nil, unreadable(err)
	}
	k, err := parseKey(e.Alg, data)
	if err != nil {
		return nil, r.corrupted(shelf, name, err)
	}
	if k.entry.KID != e.KID {
		return nil, r.corrupted(shelf, name, fmt.Errorf("it holds another key, %s", k.entry.KID))
	}
	e.Fingerprint = k.entry.Fingerprint
	k.entry = e
	return k, nil
}

// put makes shelves visible in the ring.
func (r *Ring) put(s *shelf) {
	shelves := maps.Clone(*r.shelves.Load())
	shelves[s.name] = s
	r.shelves.Store(&shelves)
}

func (r *Ring) corrupted(shelf, name string, err error) error {
	loss := "everybody has to sign in again"
	if hostOf(shelf) != "" {
		loss = "certificates already issued stop verifying"
	}
	return &CorruptedError{
		File: r.file(path.Join(shelf, name)),
		Cure: fmt.Sprintf("restore the file from a backup; or, when there is none, move the directory %s out of %s and restart: a new key is made, and %s",
			r.file(shelf), r.file(root), loss),
		Err: err,
	}
}

// unreadable is for a file that may be in order, but that the store does not give:
// its mode, its owner, a failing disk. The store's error says how to mend it.
func unreadable(err error) error {
	return fmt.Errorf("reading the key ring: %w: %w", ErrNotReady, err)
}

// file is the name that a person finds a store key by.
func (r *Ring) file(key string) string {
	if files, ok := r.store.(interface{ Filename(key string) string }); ok {
		return files.Filename(key)
	}
	return key
}

func sortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Use, b.Use),
			a.Created.Compare(b.Created), cmp.Compare(a.KID, b.KID))
	})
}
