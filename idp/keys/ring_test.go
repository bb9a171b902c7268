package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
)

const host = "example.test"

// The keysets in the store.
const (
	hostKeyset    = "persona/keys/" + host + ".json"
	programKeyset = "persona/keys/_program.json"
)

var (
	certificates = keys.Want{Host: host, Use: keys.UseCertificates}
	session      = keys.Want{Use: keys.UseSession}
)

func start() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func ring(store keys.Store) *keys.Ring { return ringAt(store, start) }

func ringAt(store keys.Store, now func() time.Time) *keys.Ring {
	return keys.New(keys.Config{Store: store, Now: now, Rand: rand.Reader, Log: zerolog.Nop()})
}

// loaded returns a new ring that holds what the store holds.
func loaded(t *testing.T, store keys.Store) *keys.Ring {
	t.Helper()
	r := ring(store)
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// contents are the values of a store.
type contents map[string][]byte

// created are the contents of four stores, each with a domain key of the host and a
// cookie secret, the first created at the start, each further one an hour earlier. RSA
// keys take long to generate, so all tests share them.
var created = sync.OnceValue(func() (all [4]contents) {
	for age := range all {
		m := idptest.NewStore(start)
		r := ringAt(m, func() time.Time { return start().Add(-time.Duration(age) * time.Hour) })
		if err := r.Ensure(context.Background(), certificates, session); err != nil {
			panic(err)
		}
		all[age] = contents{}
		for _, key := range []string{hostKeyset, programKeyset} {
			value, err := m.Load(context.Background(), key)
			if err != nil {
				panic(err)
			}
			all[age][key] = value
		}
	}
	return all
})

// filled returns a store with one of the created contents.
func filled(t *testing.T, age int) *idptest.Store {
	t.Helper()
	m := idptest.NewStore(start)
	for key, value := range created()[age] {
		put(t, m, key, value)
	}
	return m
}

// sign checks that the host's signer and its first published key fit together, and
// returns the key's id.
func sign(t *testing.T, r *keys.Ring, host string) string {
	t.Helper()
	kid, signer, err := r.Signer(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	published, err := r.Published(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := published[0].Key.(*rsa.PublicKey)
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("the signature does not verify with the published key: %v", err)
	}
	if !public.Equal(signer.Public()) || public.Size() != 256 || published[0].KID != kid || published[0].Alg != "RS256" {
		t.Errorf("published is %v, and %s signs", published[0], kid)
	}
	return kid
}

func seal(t *testing.T, r *keys.Ring, text, associated string) []byte {
	t.Helper()
	sealed, err := r.Seal(keys.UseSession, []byte(text), []byte(associated))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func expectOpens(t *testing.T, r *keys.Ring, sealed []byte, associated, want string) {
	t.Helper()
	text, err := r.Open(keys.UseSession, sealed, []byte(associated))
	if err != nil || string(text) != want {
		t.Errorf("Open: %q, %v", text, err)
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	m := idptest.NewStore(start)
	r := loaded(t, m)
	if err := r.Ensure(t.Context(), certificates, session, certificates); err != nil {
		t.Fatal(err)
	}
	first := sign(t, r, host)
	sealed := seal(t, r, "text", "data")
	expectOpens(t, r, sealed, "data", "text")

	again := loaded(t, m)
	if got := sign(t, again, host); got != first {
		t.Error("another key after loading again")
	}
	expectOpens(t, again, sealed, "data", "text")

	want := []keys.Entry{
		{Public: keys.Public{Alg: "A256GCM"}, Use: keys.UseSession, Created: start()},
		{Public: keys.Public{KID: first, Alg: "RS256"}, Host: host, Use: keys.UseCertificates, Created: start()},
	}
	published, err := r.Published(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	want[1].Key = published[0].Key
	entries := again.Entries()
	if diff := cmp.Diff(want[1:], entries[1:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:1], entries[:1], cmpopts.IgnoreFields(keys.Public{}, "KID")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(entries, r.Entries()); diff != "" {
		t.Errorf("the entries changed by loading (-want +got):\n%s", diff)
	}
}

func TestEnsureWithNothingMissingDoesNoIO(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	r := loaded(t, m)
	m.Fail = func(op, key string) error { return fmt.Errorf("unexpected %s of %s", op, key) }
	if err := r.Ensure(t.Context(), certificates, session); err != nil {
		t.Error(err)
	}
}

func TestEnsureAddsHosts(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	r := loaded(t, m)
	first := sign(t, r, host)
	if err := r.Ensure(t.Context(), certificates, keys.Want{Host: "id.example.test", Use: keys.UseCertificates}); err != nil {
		t.Fatal(err)
	}
	if other := sign(t, r, "id.example.test"); other == first || sign(t, r, host) != first {
		t.Error("the hosts share a key, or the first one lost its own")
	}
}

func TestEnsureRefusesSenselessWants(t *testing.T) {
	t.Parallel()
	for _, want := range []keys.Want{
		{Use: keys.UseCertificates},
		{Host: host, Use: keys.UseSession},
		{Host: host},
		{Host: host, Use: "other"},
		{Host: "Example.test", Use: keys.UseCertificates},
		{Host: "../example.test", Use: keys.UseCertificates},
		{Host: "a/b", Use: keys.UseCertificates},
		{Host: "..", Use: keys.UseCertificates},
		{Host: "_program", Use: keys.UseCertificates},
		{Host: strings.Repeat("a", 251), Use: keys.UseCertificates},
	} {
		m := idptest.NewStore(start)
		if err := ring(m).Ensure(t.Context(), want, session); err == nil {
			t.Errorf("%v was created", want)
		}
		if diff := cmp.Diff([]string{programKeyset}, stored(t, m)); diff != "" {
			t.Errorf("%v: in the store (-want +got):\n%s", want, diff)
		}
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	otherHost := idptest.NewStore(start)
	put(t, otherHost, "persona/keys/other.test.json", bytes.ReplaceAll(created()[0][hostKeyset], []byte(host), []byte("other.test")))
	for name, r := range map[string]*keys.Ring{
		"never loaded": ring(idptest.NewStore(start)),
		"empty store":  loaded(t, idptest.NewStore(start)),
		"other host":   loaded(t, otherHost),
	} {
		if _, _, err := r.Signer(host, keys.UseCertificates); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("%s: Signer: %v", name, err)
		}
		if _, err := r.Published(host, keys.UseCertificates); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("%s: Published: %v", name, err)
		}
		if _, err := r.Seal(keys.UseSession, nil, nil); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("%s: Seal: %v", name, err)
		}
		if _, err := r.Open(keys.UseSession, nil, nil); !errors.Is(err, keys.ErrNotReady) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
}

func TestTwoRingsAtOnceCreateOneKey(t *testing.T) {
	t.Parallel()
	m := idptest.NewStore(start)
	rings := []*keys.Ring{ring(m), ring(m), ring(m)}
	var wg sync.WaitGroup
	for _, r := range rings {
		for range 2 {
			wg.Go(func() {
				if err := errors.Join(r.Load(t.Context()), r.Ensure(t.Context(), certificates, session)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	sealed := seal(t, rings[0], "text", "")
	for _, r := range rings {
		if diff := cmp.Diff(rings[0].Entries(), r.Entries()); diff != "" || len(r.Entries()) != 2 {
			t.Errorf("the rings differ:\n%s", diff)
		}
		expectOpens(t, r, sealed, "", "text")
	}
	if got := len(stored(t, m)); got != 2 {
		t.Errorf("the store holds %q", stored(t, m))
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	r := loaded(t, filled(t, 0))
	sealed := seal(t, r, "text", "")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				sign(t, r, host)
				expectOpens(t, r, sealed, "", "text")
				if err := r.Load(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// stored returns the names of all values in a store.
func stored(t *testing.T, m *idptest.Store) (names []string) {
	t.Helper()
	all, err := m.List(t.Context(), "persona", true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, name := range all {
		if _, err := m.Load(t.Context(), name); err == nil { // else it is a prefix
			names = append(names, name)
		}
	}
	return names
}

func put(t *testing.T, m *idptest.Store, key string, data []byte) {
	t.Helper()
	if err := m.Store(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
}

// failing is a random source that has run dry.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNoRandomness(t *testing.T) {
	t.Parallel()
	m := idptest.NewStore(start)
	r := keys.New(keys.Config{Store: m, Now: start, Rand: failing{}, Log: zerolog.Nop()})
	if err := r.Ensure(t.Context(), session); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if len(stored(t, m)) != 0 {
		t.Errorf("it wrote %q", stored(t, m))
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := loaded(t, filled(t, 0))
	if err := r.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	if err := r.Ensure(ctx, keys.Want{Host: "other.test", Use: keys.UseCertificates}); !errors.Is(err, context.Canceled) {
		t.Errorf("Ensure: %v", err)
	}
	sign(t, r, host)
}

// TestLoadReadsEachKeysetOnce: with many hosts the start takes as long as reading
// their files.
func TestLoadReadsEachKeysetOnce(t *testing.T) {
	t.Parallel()
	const hosts = 50
	m := idptest.NewStore(start)
	var want []keys.Want
	for i := range hosts {
		name := fmt.Sprintf("host%d.test", i)
		put(t, m, "persona/keys/"+name+".json", bytes.ReplaceAll(created()[0][hostKeyset], []byte(host), []byte(name)))
		want = append(want, keys.Want{Host: name, Use: keys.UseCertificates})
	}
	ops := map[string]int{}
	m.Fail = func(op, _ string) error {
		ops[op]++
		return nil
	}
	r := loaded(t, m)
	if err := r.Ensure(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"list": 1, "load": hosts}, ops); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	for _, w := range want {
		sign(t, r, w.Host)
	}
}
