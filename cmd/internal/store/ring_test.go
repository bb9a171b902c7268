//go:build unix

package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

func ring(t *testing.T, f *store.Files) *keys.Ring {
	t.Helper()
	r := newRing(f)
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func newRing(f *store.Files) *keys.Ring {
	return keys.New(keys.Config{Store: f, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
}

func wanted() []keys.Want {
	return []keys.Want{{Host: "example.test", Use: keys.UseCertificates}, {Use: keys.UseSession}}
}

// createKeys is what a starting process does with the directory; it prints its ring.
func createKeys(dir string) int {
	f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
	if err == nil {
		r := newRing(f)
		if err = r.Load(noContext()); err == nil {
			err = r.Ensure(noContext(), wanted()...)
		}
		for _, entry := range r.Entries() {
			fmt.Println(entry.Host, entry.Use, entry.KID)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestProcessesStartingAtOnceCreateOneKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	type result struct {
		out string
		err error
	}
	results := make(chan result)
	for range 3 {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		if _, err := os.Stat(cmd.Path); err != nil {
			cmd.Path = os.Args[0]
		}
		cmd.Env = append(os.Environ(), "PERSONA_TEST_KEYS="+dir)
		go func() {
			out, err := cmd.CombinedOutput()
			results <- result{string(out), err}
		}()
	}
	first := <-results
	for range 2 {
		if other := <-results; other != first {
			t.Errorf("one process has\n%s%v\nanother\n%s%v", first.out, first.err, other.out, other.err)
		}
	}
	if first.err != nil || strings.Count(first.out, "example.test") != 1 {
		t.Errorf("got %s, %v", first.out, first.err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "persona/keys")); err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

// expectSameRing checks that the ring holds the keys wanted, once, and that a program
// that starts now has the same.
func expectSameRing(t *testing.T, r *keys.Ring, f *store.Files, when string) {
	t.Helper()
	again := ring(t, f)
	if diff := cmp.Diff(r.Entries(), again.Entries()); diff != "" || len(again.Entries()) != len(wanted()) {
		t.Errorf("%s: after loading again (-before +after):\n%s", when, diff)
	}
}

func TestKeyFilesAndTheirFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	if err := ring(t, f).Ensure(t.Context(), wanted()...); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "persona/keys/*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("created %q, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		mustChmod(t, file, 0o644)
		for what, err := range map[string]error{
			"Load":   newRing(f).Load(t.Context()),
			"Ensure": newRing(f).Ensure(t.Context(), wanted()...),
		} {
			if !strings.Contains(hinted(err), "(hint: chmod 0600 "+file+")") {
				t.Errorf("%s of an open file: %v", what, err)
			}
		}
		mustChmod(t, file, 0o600)

		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(content[:len(content)/2]), 0o600)
		var corrupted *keys.CorruptedError
		if err := newRing(f).Load(t.Context()); !errors.As(err, &corrupted) || !strings.Contains(err.Error(), file) ||
			!strings.Contains(corrupted.Hint(), "move "+file+" out of "+filepath.Join(dir, "persona/keys")) {
			t.Errorf("a damaged file: %v", err)
		}
		write(t, file, string(content), 0o600)
	}
	if entries := ring(t, f).Entries(); len(entries) != 2 {
		t.Errorf("in the end there are %v", entries)
	}
}

// sealer lends the ring's secret to sessions.
type sealer struct{ *keys.Ring }

func (s sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.Ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.Ring.Open(keys.UseSession, sealed, associated)
}

// BenchmarkSessionRead reads a session as a running program does: real keys, real files.
func BenchmarkSessionRead(b *testing.B) {
	f, err := store.OpenFiles(b.TempDir(), time.Now, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	r := newRing(f)
	if err := r.Ensure(b.Context(), keys.Want{Use: keys.UseSession}); err != nil {
		b.Fatal(err)
	}
	sessions := session.New(session.Config{Sealer: sealer{r}, SignOuts: session.NewSignOuts(f, time.Now), Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	host := &identity.Host{Name: "example.test", DirectoryName: "corp"}
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/persona/", nil)
	if err := sessions.SignIn(rec, req, host, identity.Person{ID: "alice"}, session.Private); err != nil {
		b.Fatal(err)
	}
	req.AddCookie(rec.Result().Cookies()[0])
	b.ReportAllocs()
	for b.Loop() {
		if subject, err := sessions.Current(rec, req, host, session.Recent); err != nil || subject == nil {
			b.Fatal(subject, err)
		}
	}
}

// BenchmarkOpenKeysets opens a state directory with the keysets of many identity hosts,
// as a start does.
func BenchmarkOpenKeysets(b *testing.B) {
	for _, hosts := range []int{200, 1000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			dir := b.TempDir()
			f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
			if err != nil {
				b.Fatal(err)
			}
			if err := newRing(f).Ensure(b.Context(), wanted()...); err != nil {
				b.Fatal(err)
			}
			keyset, err := f.Load(b.Context(), "persona/keys/example.test.json")
			if err != nil {
				b.Fatal(err)
			}
			for i := range hosts - 1 {
				name := fmt.Sprintf("host%d.test", i)
				err := f.Store(b.Context(), "persona/keys/"+name+".json", bytes.ReplaceAll(keyset, []byte("example.test"), []byte(name)))
				if err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
				if err != nil {
					b.Fatal(err)
				}
				r := newRing(f)
				if err := r.Load(b.Context()); err != nil {
					b.Fatal(err)
				}
				if got := len(r.Entries()); got != hosts+1 {
					b.Fatalf("%d entries", got)
				}
			}
		})
	}
}
