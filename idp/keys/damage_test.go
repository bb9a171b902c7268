package keys_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/keys/keystest"
)

const (
	hostShelf    = "persona/keys/hosts/" + host
	programShelf = "persona/keys/program"
)

// pemOf returns the name of the one key on a shelf.
func pemOf(t *testing.T, m *keystest.Memory, shelf string) string {
	t.Helper()
	for _, key := range m.Keys() {
		if path.Dir(key) == shelf && path.Ext(key) == ".pem" {
			return key
		}
	}
	t.Fatalf("no key in %q", m.Keys())
	return ""
}

func get(t *testing.T, m *keystest.Memory, key string) []byte {
	t.Helper()
	data, err := m.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func snapshot(t *testing.T, m *keystest.Memory) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range m.Keys() {
		all[key] = string(get(t, m, key))
	}
	return all
}

// restored is the reverse of snapshot.
func restored(t *testing.T, all map[string]string) *keystest.Memory {
	t.Helper()
	m := keystest.NewMemory()
	for key, value := range all {
		put(t, m, key, []byte(value))
	}
	return m
}

// otherRSA returns the PEM file of another RSA key.
func otherRSA(t *testing.T, bits int) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestDamageIsNamedAndNothingOverwritten(t *testing.T) {
	t.Parallel()
	good := snapshot(t, filled(t, certificates, session))
	hostIndex, programIndex := hostShelf+"/index.json", programShelf+"/index.json"
	replace := func(old, new string) func([]byte) []byte {
		return func(data []byte) []byte { return bytes.Replace(data, []byte(old), []byte(new), 1) }
	}
	flip := func(data []byte) []byte { // one letter in the middle of the base64 text
		data = bytes.Clone(data)
		at := len(data) / 2
		if data[at] == '\n' {
			at++
		}
		data[at] = map[bool]byte{true: 'B', false: 'A'}[data[at] == 'A']
		return data
	}
	garbage := func([]byte) []byte { return []byte("\x00\xff\x00") }
	empty := func([]byte) []byte { return nil }
	half := func(data []byte) []byte { return data[:len(data)/2] }
	twice := func(data []byte) []byte { return append(bytes.Clone(data), data...) }
	for name, test := range map[string]struct {
		file   string // "pem" stands for the shelf's key
		shelf  string
		damage func([]byte) []byte // nil: the file is deleted
		want   string
	}{
		"host index: garbage":           {hostIndex, hostShelf, garbage, "JSON"},
		"host index: empty":             {hostIndex, hostShelf, empty, "JSON"},
		"host index: truncated":         {hostIndex, hostShelf, half, "JSON"},
		"host index: twice":             {hostIndex, hostShelf, twice, "JSON"},
		"host index: newer":             {hostIndex, hostShelf, replace(`"version": 1`, `"version": 2`), "version 2 is not 1"},
		"host index: no version":        {hostIndex, hostShelf, replace(`"version": 1,`, ""), "version 0 is not 1"},
		"host index: other host":        {hostIndex, hostShelf, replace(host, "other.test"), `index of "other.test", not of "example.test"`},
		"host index: no host":           {hostIndex, hostShelf, replace(`"host": "example.test",`, ""), `index of ""`},
		"host index: other use":         {hostIndex, hostShelf, replace("certificates", "session"), "not a host's"},
		"host index: unknown use":       {hostIndex, hostShelf, replace("certificates", "tokens"), `the use "tokens" is unknown`},
		"host index: other algorithm":   {hostIndex, hostShelf, replace("RS256", "A256GCM"), "does not fit the use"},
		"host index: hostile key id":    {hostIndex, hostShelf, replace(`"kid": "`, `"kid": "../`), "is not the id of a key"},
		"host index: empty key id":      {hostIndex, hostShelf, replace(`"kid"`, `"kid": "", "other"`), "is not the id of a key"},
		"host index: no date":           {hostIndex, hostShelf, replace(`"created"`, `"other"`), "when the key was created"},
		"host index: duplicate member":  {hostIndex, hostShelf, replace(`"host"`, `"host": "x", "host"`), "host"},
		"host key: missing":             {"pem", hostShelf, nil, "the file is missing"},
		"host key: empty":               {"pem", hostShelf, empty, "not a whole PEM file"},
		"host key: truncated":           {"pem", hostShelf, half, "not a whole PEM file"},
		"host key: garbage":             {"pem", hostShelf, garbage, "not a whole PEM file"},
		"host key: one letter changed":  {"pem", hostShelf, flip, "does not hold a valid private key"},
		"host key: twice":               {"pem", hostShelf, twice, "something follows"},
		"host key: of another host":     {"pem", hostShelf, func([]byte) []byte { return otherRSA(t, 2048) }, "it holds another key"},
		"host key: 1024 bits":           {"pem", hostShelf, func([]byte) []byte { return otherRSA(t, 1024) }, "2048"},
		"host key: a secret":            {"pem", hostShelf, replace("PRIVATE KEY", "PERSONA SECRET"), "not a whole PEM file"},
		"program index: garbage":        {programIndex, programShelf, garbage, "JSON"},
		"program index: a host":         {programIndex, programShelf, replace(`"keys"`, `"host": "example.test", "keys"`), `not of ""`},
		"program key: missing":          {"pem", programShelf, nil, "the file is missing"},
		"program key: truncated":        {"pem", programShelf, half, "not a whole PEM file"},
		"program key: one letter":       {"pem", programShelf, flip, "it holds another key"},
		"program key: 16 bytes":         {"pem", programShelf, secretPEM(16), "holds 16 bytes, not 32"},
		"program key: zeros":            {"pem", programShelf, secretPEM(32), "nothing but zeros"},
		"program key: of another use":   {"pem", programShelf, func([]byte) []byte { return otherRSA(t, 2048) }, `type "PRIVATE KEY"`},
		"program index: named but gone": {"pem", programShelf, nil, "the index names this key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := restored(t, good)
			file := test.file
			if file == "pem" {
				file = pemOf(t, m, test.shelf)
			}
			if test.damage == nil {
				if err := m.Delete(t.Context(), file); err != nil {
					t.Fatal(err)
				}
			} else {
				before := get(t, m, file)
				after := test.damage(before)
				if bytes.Equal(before, after) {
					t.Fatal("the damage does nothing")
				}
				put(t, m, file, after)
			}
			before := snapshot(t, m)

			r := ring(m)
			err := r.Load(t.Context())
			var corrupted *keys.CorruptedError
			if !errors.As(err, &corrupted) {
				t.Fatalf("Load: %v", err)
			}
			for _, want := range []string{file, test.want, "(hint: restore the file from a backup", test.shelf} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if secretText := string(before[file]); len(secretText) > 100 && strings.Contains(err.Error(), secretText[60:80]) {
				t.Errorf("the error tells the key: %v", err)
			}
			if err := r.Ensure(t.Context(), certificates, session); !errors.As(err, &corrupted) {
				t.Errorf("Ensure: %v", err)
			}
			if diff := cmp.Diff(before, snapshot(t, m)); diff != "" {
				t.Errorf("the store was changed:\n%s", diff)
			}
			expectOthersWork(t, r, test.shelf)
		})
	}
}

func secretPEM(n int) func([]byte) []byte {
	return func([]byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "PERSONA SECRET", Bytes: make([]byte, n)})
	}
}

// expectOthersWork checks that the damaged shelf gives nothing and the other one works.
func expectOthersWork(t *testing.T, r *keys.Ring, damaged string) {
	t.Helper()
	if damaged == programShelf {
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
	if _, err := r.Signer(host); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Signer: %v", err)
	}
	if _, err := r.Published(host); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Published: %v", err)
	}
}

func TestMendedWhileRunning(t *testing.T) {
	t.Parallel()
	m := filled(t, certificates)
	file := pemOf(t, m, hostShelf)
	good := get(t, m, file)
	put(t, m, file, []byte("damaged"))
	r := ring(m)
	if err := r.Load(t.Context()); err == nil {
		t.Fatal("the damage went unnoticed")
	}
	put(t, m, file, good)
	if err := r.Ensure(t.Context(), certificates); err != nil {
		t.Fatal(err)
	}
	sign(t, r, host)
}

func TestUnreadableKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	good := snapshot(t, filled(t, certificates))
	for name, fault := range map[string]error{
		"its mode": errors.New("mode 0644: others may read this secret (hint: chmod 0600 x)"),
		"its disk": syscall.EIO,
		"no right": fs.ErrPermission,
	} {
		for _, ext := range []string{".pem", ".json"} {
			m := restored(t, good)
			before := snapshot(t, m)
			m.Fail = func(op, key string) error {
				if op == "load" && path.Ext(key) == ext {
					return fault
				}
				return nil
			}
			r := ring(m)
			if err := r.Load(t.Context()); !errors.Is(err, fault) {
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
}

// TestFaultsWhileCreating lets each step of the creation fail, before and after it took
// effect, and starts again.
func TestFaultsWhileCreating(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for _, step := range []string{".pem", ".json"} {
		for _, late := range []bool{false, true} {
			m := keystest.NewMemory()
			hook := func(op, key string) error {
				if op == "store" && path.Ext(key) == step {
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
				t.Errorf("%s, late %v: Ensure: %v", step, late, err)
			}
			if _, err := r.Signer(host); !errors.Is(err, keys.ErrNotReady) {
				t.Errorf("%s, late %v: Signer: %v", step, late, err)
			}
			m.Fail, m.After = nil, nil
			if err := r.Ensure(t.Context(), certificates); err != nil {
				t.Fatalf("%s, late %v: Ensure again: %v", step, late, err)
			}
			if got := sign(t, r, host); got != sign(t, loaded(t, m), host) {
				t.Errorf("%s, late %v: another key after loading", step, late)
			}
			if made := len(r.Entries()); made != 1 {
				t.Errorf("%s, late %v: %d keys", step, late, made)
			}
		}
	}
}

func TestLockRefused(t *testing.T) {
	t.Parallel()
	m := keystest.NewMemory()
	m.Fail = func(op, _ string) error {
		if op == "lock" {
			return syscall.EROFS
		}
		return nil
	}
	r := ring(m)
	if err := r.Ensure(t.Context(), certificates); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	m.Fail = nil
	if err := r.Ensure(t.Context(), certificates); err != nil {
		t.Error(err)
	}
}

func TestOrphansAreIgnoredAndKept(t *testing.T) {
	t.Parallel()
	m := keystest.NewMemory()
	orphans := []string{hostShelf + "/0123456789abcdef.pem", programShelf + "/fedcba9876543210.pem", hostShelf + "/notes.txt", "persona/keys/README"}
	for _, orphan := range orphans {
		put(t, m, orphan, []byte("half a key"))
	}
	r := loaded(t, m)
	if err := r.Ensure(t.Context(), certificates, session); err != nil {
		t.Fatal(err)
	}
	if got := sign(t, loaded(t, m), host); got != sign(t, r, host) {
		t.Error("another key after loading")
	}
	for _, orphan := range orphans {
		if !slices.Contains(m.Keys(), orphan) {
			t.Errorf("%s is gone", orphan)
		}
	}
}
