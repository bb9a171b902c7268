package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
)

func get(t *testing.T, m *idptest.Store, key string) []byte {
	t.Helper()
	data, err := m.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func snapshot(t *testing.T, m *idptest.Store) contents {
	t.Helper()
	all := contents{}
	for _, key := range stored(t, m) {
		all[key] = get(t, m, key)
	}
	return all
}

// member returns a damage that sets a member of the keyset's first key.
func member(name string, value any) func(t *testing.T, data []byte) []byte {
	return func(t *testing.T, data []byte) []byte {
		t.Helper()
		return marshal(t, data, func(k *keysetFile) { k.Keys[0][name] = value })
	}
}

// pkcs8 returns a damage that replaces the key by another one.
func pkcs8(generate func() (any, error)) func(t *testing.T, data []byte) []byte {
	return func(t *testing.T, data []byte) []byte {
		t.Helper()
		key, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return member("pkcs8", der)(t, data)
	}
}

func TestDamageIsNamedAndNothingOverwritten(t *testing.T) {
	t.Parallel()
	type damage = func(t *testing.T, data []byte) []byte
	replace := func(old, new string) damage {
		return func(_ *testing.T, data []byte) []byte { return bytes.Replace(data, []byte(old), []byte(new), 1) }
	}
	text := func(change func(data []byte) []byte) damage {
		return func(_ *testing.T, data []byte) []byte { return change(data) }
	}
	garbage := text(func([]byte) []byte { return []byte("\x00\xff\x00") })
	empty := text(func([]byte) []byte { return nil })
	half := text(func(data []byte) []byte { return data[:len(data)/2] })
	twice := text(func(data []byte) []byte { return append(bytes.Clone(data), data...) })
	// letter changes one letter in the middle of the base64 text of a key.
	letter := func(name string) damage {
		return text(func(data []byte) []byte {
			data = bytes.Clone(data)
			from := bytes.Index(data, []byte(`"`+name+`": "`)) + len(name) + 5
			at := from + bytes.IndexByte(data[from:], '"')/2
			data[at] = map[bool]byte{true: 'B', false: 'A'}[data[at] == 'A']
			return data
		})
	}
	for name, test := range map[string]struct {
		file   string
		damage damage
		want   string
	}{
		"host: garbage":          {hostKeyset, garbage, "JSON"},
		"host: empty":            {hostKeyset, empty, "JSON"},
		"host: truncated":        {hostKeyset, half, "JSON"},
		"host: twice":            {hostKeyset, twice, "JSON"},
		"host: newer":            {hostKeyset, replace(`"version": 2`, `"version": 3`), "version 3 is not 2"},
		"host: older":            {hostKeyset, replace(`"version": 2`, `"version": 1`), "version 1 is not 2"},
		"host: no version":       {hostKeyset, replace(`"version": 2,`, ""), "version 0 is not 2"},
		"host: other host":       {hostKeyset, replace(host, "other.test"), `keyset of "other.test", not of "example.test"`},
		"host: no host":          {hostKeyset, replace(`"host": "example.test",`, ""), `keyset of ""`},
		"host: the program's":    {hostKeyset, text(func([]byte) []byte { return created()[0][programKeyset] }), `keyset of ""`},
		"host: other use":        {hostKeyset, replace("certificates", "session"), "not a host's"},
		"host: unknown use":      {hostKeyset, replace("certificates", "tokens"), `the use "tokens" is unknown`},
		"host: other algorithm":  {hostKeyset, replace("RS256", "A256GCM"), "does not fit the use"},
		"host: hostile key id":   {hostKeyset, replace(`"kid": "`, `"kid": "../`), "is not a key id"},
		"host: empty key id":     {hostKeyset, replace(`"kid"`, `"kid": "", "other"`), "is not a key id"},
		"host: no date":          {hostKeyset, replace(`"created"`, `"other"`), "the time of its creation is missing"},
		"host: duplicate member": {hostKeyset, replace(`"host"`, `"host": "x", "host"`), "host"},
		"host: two keys":         {hostKeyset, replace(`"pkcs8"`, `"pkcs8": "AA==", "pkcs8"`), "pkcs8"},
		"host: a key twice":      {hostKeyset, func(t *testing.T, _ []byte) []byte { return merged(t, hostKeyset, []int{0, 0}, nil) }, "twice"},
		"host: no key":           {hostKeyset, member("pkcs8", nil), "does not hold a valid private key"},
		"host: not base64":       {hostKeyset, replace(`"pkcs8": "`, `"pkcs8": "!`), "JSON"},
		"host: a key cut short":  {hostKeyset, member("pkcs8", make([]byte, 600)), "does not hold a valid private key"},
		"host: one letter":       {hostKeyset, letter("pkcs8"), "does not hold a valid private key"},
		"host: another's key": {hostKeyset, func(t *testing.T, data []byte) []byte {
			return member("pkcs8", decode(t, created()[1][hostKeyset]).Keys[0]["pkcs8"])(t, data)
		}, "it is another key"},
		"host: another's key id":  {hostKeyset, member("kid", "0123456789abcdef"), "it is another key"},
		"host: 1024 bits":         {hostKeyset, pkcs8(func() (any, error) { return rsa.GenerateKey(rand.Reader, 1024) }), "1024 bits, not 2048"},
		"host: an elliptic curve": {hostKeyset, pkcs8(func() (any, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }), "not an RSA key"},
		"host: a secret":          {hostKeyset, replace(`"pkcs8"`, `"secret"`), "does not hold a valid private key"},
		"program: garbage":        {programKeyset, garbage, "JSON"},
		"program: empty":          {programKeyset, empty, "JSON"},
		"program: truncated":      {programKeyset, half, "JSON"},
		"program: a host":         {programKeyset, replace(`"keys"`, `"host": "example.test", "keys"`), `not of ""`},
		"program: one letter":     {programKeyset, letter("secret"), "it is another key"},
		"program: 16 bytes":       {programKeyset, member("secret", make([]byte, 16)), "holds 16 bytes, not 32"},
		"program: zeros":          {programKeyset, member("secret", make([]byte, 32)), "nothing but zeros"},
		"program: no secret":      {programKeyset, member("secret", nil), "holds 0 bytes, not 32"},
		"program: other use":      {programKeyset, replace(`"session"`, `"certificates"`), "not the canonical name"},
		"program: assertions":     {programKeyset, replace(`"session"`, `"assertions"`), "not the canonical name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := filled(t, 0)
			good := get(t, m, test.file)
			bad := test.damage(t, good)
			if bytes.Equal(good, bad) {
				t.Fatal("the damage does nothing")
			}
			put(t, m, test.file, bad)
			before := snapshot(t, m)

			r := ring(m)
			err := r.Load(t.Context())
			expectCorrupted(t, err, test.file, test.want, "restore the file from a backup")
			for _, k := range decode(t, good).Keys {
				for _, name := range []string{"pkcs8", "secret"} {
					if text, _ := k[name].(string); text != "" && strings.Contains(fmt.Sprintf("%+v", err), text[:20]) {
						t.Errorf("the error reveals the key: %v", err)
					}
				}
			}
			expectCorrupted(t, r.Ensure(t.Context(), certificates, session), test.file, test.want, "restore the file from a backup")
			if diff := cmp.Diff(before, snapshot(t, m)); diff != "" {
				t.Errorf("the store was changed:\n%s", diff)
			}
			expectOthersWork(t, r, test.file)
		})
	}
}

// marshal returns a keyset with a change.
func marshal(t *testing.T, data []byte, change func(*keysetFile)) []byte {
	t.Helper()
	k := decode(t, data)
	change(&k)
	return encode(t, k)
}

// expectCorrupted checks that an error names the file, what is wrong and what to do.
func expectCorrupted(t *testing.T, err error, file, want, hint string) {
	t.Helper()
	var corrupted *keys.CorruptedError
	if !errors.As(err, &corrupted) || !errors.Is(err, keys.ErrNotReady) {
		t.Fatalf("got %v", err)
	}
	if corrupted.File != file || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), want) {
		t.Errorf("%q or %q is not in: %v", file, want, err)
	}
	if !strings.Contains(corrupted.Hint(), hint) || !strings.Contains(corrupted.Hint(), "move "+file+" out of persona/keys") {
		t.Errorf("the hint is %q", corrupted.Hint())
	}
}

// expectOthersWork checks that the damaged keyset gives nothing and the other one works.
func expectOthersWork(t *testing.T, r *keys.Ring, damaged string) {
	t.Helper()
	if damaged == programKeyset {
		sign(t, r, host)
		if _, err := r.Seal(keys.UseSession, nil, nil); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("Seal: %v", err)
		}
		if _, err := r.Open(keys.UseSession, make([]byte, 100), nil); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("Open: %v", err)
		}
		return
	}
	expectOpens(t, r, seal(t, r, "text", ""), "", "text")
	if _, _, err := r.Signer(host, keys.UseCertificates); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Signer: %v", err)
	}
	if _, err := r.Published(host, keys.UseCertificates); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Published: %v", err)
	}
}

// TestBitFlips: a keyset with a changed bit in its key is refused, or its key is the
// same. So Load need not try each key.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	good := decode(t, created()[0][hostKeyset])
	der, err := base64.StdEncoding.DecodeString(good.Keys[0]["pkcs8"].(string))
	if err != nil {
		t.Fatal(err)
	}
	kid := sign(t, loaded(t, filled(t, 0)), host)
	for at := 0; at < len(der); at += 3 {
		bad := bytes.Clone(der)
		bad[at] ^= 1 << (at % 8)
		good.Keys[0]["pkcs8"] = bad
		m := idptest.NewStore(start)
		put(t, m, hostKeyset, encode(t, good))
		if r := ring(m); r.Load(t.Context()) == nil && sign(t, r, host) != kid {
			t.Errorf("byte %d: another key", at)
		}
	}
}

// TestOldFormIsRefused: keys in the form of an earlier version are named, and kept.
func TestOldFormIsRefused(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"persona/keys/program", "persona/keys/hosts"} {
		m := filled(t, 0)
		put(t, m, old+"/example.test/index.json", []byte(`{"version": 1}`))
		before := snapshot(t, m)
		r := ring(m)
		expectCorrupted(t, r.Load(t.Context()), old, "an earlier persona", "use another state_dir")
		if diff := cmp.Diff(before, snapshot(t, m)); diff != "" {
			t.Errorf("the store was changed:\n%s", diff)
		}
	}
}

func TestRestoredWhileRunning(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	good := get(t, m, hostKeyset)
	put(t, m, hostKeyset, []byte("damaged"))
	r := ring(m)
	if err := r.Load(t.Context()); err == nil {
		t.Fatal("the damage went unnoticed")
	}
	put(t, m, hostKeyset, good)
	if err := r.Ensure(t.Context(), certificates); err != nil {
		t.Fatal(err)
	}
	sign(t, r, host)
}

func TestUnreadableKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]error{
		"its mode": errors.New("mode 0644: others may read this secret"),
		"its disk": syscall.EIO,
		"no right": fs.ErrPermission,
	} {
		m := filled(t, 0)
		before := snapshot(t, m)
		m.Fail = func(op, key string) error {
			if op == "load" && key == hostKeyset {
				return fault
			}
			return nil
		}
		r := ring(m)
		if err := r.Load(t.Context()); !errors.Is(err, fault) || !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("%s: Load: %v", name, err)
		}
		if err := r.Ensure(t.Context(), certificates); !errors.Is(err, fault) {
			t.Errorf("%s: Ensure: %v", name, err)
		}
		m.Fail = nil
		if diff := cmp.Diff(before, snapshot(t, m)); diff != "" {
			t.Errorf("%s: the store was changed:\n%s", name, diff)
		}
	}
}

func TestUnlistableStore(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	m.Fail = func(op, _ string) error {
		if op == "list" {
			return syscall.EIO
		}
		return nil
	}
	if err := ring(m).Load(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
}

// TestFaultsWhileCreating lets the write fail, before and after it took effect, and
// starts again.
func TestFaultsWhileCreating(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for _, late := range []bool{false, true} {
		m := idptest.NewStore(start)
		hook := func(op, key string) error {
			if op == "store" {
				return full
			}
			return nil
		}
		if late {
			m.After = hook
		} else {
			m.Fail = hook
		}
		r := ring(m)
		if err := r.Ensure(t.Context(), certificates); !errors.Is(err, full) {
			t.Errorf("late %v: Ensure: %v", late, err)
		}
		if _, _, err := r.Signer(host, keys.UseCertificates); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("late %v: Signer: %v", late, err)
		}
		written := snapshot(t, m)
		m.Fail, m.After = nil, nil
		if err := r.Ensure(t.Context(), certificates); err != nil {
			t.Fatalf("late %v: Ensure again: %v", late, err)
		}
		if diff := cmp.Diff(written, snapshot(t, m)); late && diff != "" {
			t.Errorf("what was written is replaced:\n%s", diff)
		}
		if got := sign(t, r, host); got != sign(t, loaded(t, m), host) {
			t.Errorf("late %v: another key after loading", late)
		}
		if n := len(r.Entries()); n != 1 {
			t.Errorf("late %v: %d keys", late, n)
		}
	}
}

func TestLockRefused(t *testing.T) {
	t.Parallel()
	m := idptest.NewStore(start)
	m.Fail = func(op, _ string) error {
		if op == "lock" {
			return syscall.EROFS
		}
		return nil
	}
	r := ring(m)
	if err := r.Ensure(t.Context(), session); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	m.Fail = nil
	if err := r.Ensure(t.Context(), session); err != nil {
		t.Error(err)
	}
}

func TestOtherFilesAreIgnoredAndKept(t *testing.T) {
	t.Parallel()
	m := idptest.NewStore(start)
	others := []string{"persona/keys/README", "persona/keys/example.test.json.bak", "persona/keys/Example.test.json", "persona/keys/.json", "persona/keys/old/example.test.json"}
	for _, other := range others {
		put(t, m, other, []byte("half a key"))
	}
	r := loaded(t, m)
	if err := r.Ensure(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	expectOpens(t, loaded(t, m), seal(t, r, "text", ""), "", "text")
	for _, other := range others {
		if string(get(t, m, other)) != "half a key" {
			t.Errorf("%s was changed", other)
		}
	}
}
