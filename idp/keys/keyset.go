package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid/strictjson"
)

const (
	// root is the prefix of all keysets in the store.
	root = "persona/keys"
	// programName is the keyset of the program. No host name has an underscore.
	programName = "_program"

	keysetVersion = 2
	kidLen        = 16 // hexadecimal digits
)

// keyset is the keys of one identity host, or of the program, in memory.
type keyset struct {
	records []record
	keys    []*key // current ones first, then newest first
	fault   error  // why the keyset cannot be used; then it holds no keys
}

// record is a key in the store.
type record struct {
	KID     string    `json:"kid"`
	Use     Use       `json:"use"`
	Alg     string    `json:"alg"`
	Created time.Time `json:"created"`
	Retires time.Time `json:"retires,omitzero"`
	PKCS8   []byte    `json:"pkcs8,omitempty"`  // RFC 5958, for RS256
	Secret  []byte    `json:"secret,omitempty"` // for A256GCM
}

// keysetFile is a keyset in the store.
type keysetFile struct {
	Version int      `json:"version"`
	Host    string   `json:"host,omitempty"` // empty: the program's
	Keys    []record `json:"keys"`
}

// keysetKey is where the keyset of a host ("": of the program) is stored.
func keysetKey(host string) string {
	if host == "" {
		host = programName
	}
	return path.Join(root, host+".json")
}

// current returns the newest key of a use that does not retire, or nil.
func (s *keyset) current(use Use) *key {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.entry.Use == use && k.entry.Retires.IsZero() {
			return k
		}
	}
	return nil
}

// Load reads all keysets from the store into the ring. It takes no lock and
// changes nothing in the store.
//
// A corrupted keyset is an error of type *CorruptedError, joined with the others.
// The keys of the other hosts are in the ring and usable all the same. Keys in
// the form of an earlier version are an error, too: Ensure would put new ones
// beside them.
func (r *Ring) Load(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	found, err := r.store.List(ctx, root, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the key ring: %w", err)
	}
	keysets := map[string]*keyset{}
	var faults []error
	for _, name := range found {
		base := path.Base(name)
		if base == "hosts" || base == "program" { // directories of version 1
			faults = append(faults, &CorruptedError{
				File: r.file(name),
				Err:  errors.New("these keys are in the form of an earlier persona, which this one does not read"),
				hint: fmt.Sprintf("use another state_dir; or, when the keys may be lost, move %s out of %s: new keys are created, certificates already issued stop verifying, and everyone has to sign in again", r.file(name), r.file(root)),
			})
			continue
		}
		host, isKeyset := strings.CutSuffix(base, ".json")
		if host == programName {
			host = ""
		} else if !isKeyset || !validHost(host) {
			continue
		}
		s, err := r.read(ctx, host)
		if err != nil {
			return err
		}
		keysets[host] = s
		faults = append(faults, s.fault)
	}
	r.keysets.Store(&keysets)
	return errors.Join(faults...)
}

// read reads one keyset. What is wrong with it becomes its fault; the error is
// only for a context that has ended. A missing one is empty.
func (r *Ring) read(ctx context.Context, host string) (*keyset, error) {
	data, err := r.store.Load(ctx, keysetKey(host))
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the key ring: %w", ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		return &keyset{}, nil
	case err != nil: // its mode, its owner, a failing disk: the store's error has the hint
		return &keyset{fault: fmt.Errorf("reading the key ring: %w: %w", ErrNotReady, err)}, nil
	}
	s, err := parseKeyset(host, data)
	if err != nil {
		file, loss := r.file(keysetKey(host)), "certificates already issued stop verifying, and assertions until websites have read the new key"
		if host == "" {
			loss = "everyone has to sign in again"
		}
		return &keyset{fault: &CorruptedError{
			File: file, Err: err,
			hint: fmt.Sprintf("restore the file from a backup; or, when there is none, move %s out of %s and restart: a new key is created, and %s", file, r.file(root), loss),
		}}, nil
	}
	return s, nil
}

// parseKeyset is the reverse of marshalKeyset.
func parseKeyset(host string, data []byte) (*keyset, error) {
	var file keysetFile
	if err := strictjson.Decode(data, &file); err != nil {
		return nil, err
	}
	if file.Version != keysetVersion {
		return nil, fmt.Errorf("version %d is not %d, the one that this program writes", file.Version, keysetVersion)
	}
	if file.Host != host {
		return nil, fmt.Errorf("it is the keyset of %q, not of %q", file.Host, host)
	}
	s := &keyset{records: file.Keys}
	for _, rec := range file.Keys {
		k, err := rec.parse(host)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.keys, func(other *key) bool { return other.entry.KID == rec.KID }) {
			return nil, fmt.Errorf("it holds the key %s twice", rec.KID)
		}
		s.keys = append(s.keys, k)
	}
	slices.SortStableFunc(s.keys, func(a, b *key) int {
		switch aRetires, bRetires := !a.entry.Retires.IsZero(), !b.entry.Retires.IsZero(); {
		case aRetires == bRetires:
			return b.entry.Created.Compare(a.entry.Created)
		case aRetires:
			return 1
		}
		return -1
	})
	return s, nil
}

func marshalKeyset(host string, records []record) ([]byte, error) {
	data, err := json.MarshalIndent(keysetFile{Version: keysetVersion, Host: host, Keys: records}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the keyset: %w", err)
	}
	return append(data, '\n'), nil
}

// parse returns the key of a record in the keyset of host.
func (rec record) parse(host string) (*key, error) {
	if len(rec.KID) != kidLen || strings.Trim(rec.KID, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%.40q is not a key id", rec.KID)
	}
	alg, err := Want{Host: host, Use: rec.Use}.alg()
	switch {
	case err != nil:
		return nil, fmt.Errorf("key %s: %w", rec.KID, err)
	case rec.Alg != alg:
		return nil, fmt.Errorf("key %s: the algorithm %.40q does not fit the use %q", rec.KID, rec.Alg, rec.Use)
	case rec.Created.IsZero():
		return nil, fmt.Errorf("key %s: the time of its creation is missing", rec.KID)
	}
	k, err := rec.key()
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", rec.KID, err)
	}
	if k.entry.KID != rec.KID {
		return nil, fmt.Errorf("key %s: it is another key, %s", rec.KID, k.entry.KID)
	}
	k.entry.Alg, k.entry.Retires = rec.Alg, rec.Retires
	k.entry.Host, k.entry.Use, k.entry.Created = host, rec.Use, rec.Created
	return k, nil
}

// alg is the algorithm of the key that is wanted.
func (w Want) alg() (string, error) {
	switch w.Use {
	case UseCertificates, UseAssertions, UseOpenID:
		if !validHost(w.Host) {
			return "", fmt.Errorf("%q is not the canonical name of an identity host", w.Host)
		}
		return algRS256, nil
	case UseSession:
		if w.Host != "" {
			return "", errors.New("the session key is the program's, not a host's")
		}
		return algA256GCM, nil
	}
	return "", fmt.Errorf("the use %.40q is unknown", w.Use)
}

// validHost reports whether a name is canonical enough to name a file.
func validHost(host string) bool {
	const maxFileName = 255
	return host != "" && len(host)+len(".json") <= maxFileName && !strings.HasPrefix(host, ".") &&
		strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// file is the name by which the operator finds a value of the store.
func (r *Ring) file(key string) string {
	if files, ok := r.store.(interface{ Filename(key string) string }); ok {
		return files.Filename(key)
	}
	return key
}
