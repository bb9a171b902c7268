package keys_test

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/keys"
)

// keysetFile is a keyset as an operator may edit it.
type keysetFile struct {
	Version int              `json:"version"`
	Host    string           `json:"host,omitempty"`
	Keys    []map[string]any `json:"keys"`
}

func decode(t *testing.T, data []byte) (k keysetFile) {
	t.Helper()
	if err := json.Unmarshal(data, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// merged returns the keyset called name with the keys of some of the created ones, of
// which those in retires end at that time.
func merged(t *testing.T, name string, ages []int, retires map[int]time.Time) []byte {
	t.Helper()
	var all keysetFile
	for _, age := range ages {
		k := decode(t, created()[age][name])
		if at, ok := retires[age]; ok {
			k.Keys[0]["retires"] = at
		}
		all.Version, all.Host, all.Keys = k.Version, k.Host, append(all.Keys, k.Keys...)
	}
	return encode(t, all)
}

func encode(t *testing.T, k keysetFile) []byte {
	t.Helper()
	data, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func published(t *testing.T, r *keys.Ring) (kids []string) {
	t.Helper()
	all, err := r.Published(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		kids = append(kids, k.KID)
	}
	return kids
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	newer, older := loaded(t, filled(t, 0)), loaded(t, filled(t, 1))
	retires := start().Add(time.Hour)
	m := filled(t, 0)
	for _, name := range []string{hostKeyset, programKeyset} {
		put(t, m, name, merged(t, name, []int{1, 0}, map[int]time.Time{1: retires}))
	}
	now := start()
	r := ringAt(m, func() time.Time { return now })
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	olderText, newerText := seal(t, older, "older", ""), seal(t, newer, "newer", "")

	if got := sign(t, r, host); got != sign(t, newer, host) {
		t.Error("it does not sign with the current key")
	}
	expectOpens(t, r, olderText, "", "older")
	expectOpens(t, r, newerText, "", "newer")
	expectOpens(t, newer, seal(t, r, "text", ""), "", "text")
	if diff := cmp.Diff([]string{sign(t, newer, host), sign(t, older, host)}, published(t, r)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	all, err := r.Published(host, keys.UseCertificates)
	if err != nil || !all[0].Retires.IsZero() || !all[1].Retires.Equal(retires) {
		t.Errorf("published %v, %v; want the second to retire at %v", all, err, retires)
	}

	now = retires
	expectOpens(t, r, newerText, "", "newer")
	if _, err := r.Open(keys.UseSession, olderText, nil); !errors.Is(err, keys.ErrForged) {
		t.Errorf("a retired secret opens: %v", err)
	}
	if diff := cmp.Diff([]string{sign(t, newer, host)}, published(t, r)); diff != "" {
		t.Errorf("published after the retirement (-want +got):\n%s", diff)
	}
	for _, key := range all { // a retired one is still ours
		if holder, ok := r.Holds(key.Key.(*rsa.PublicKey).N); !ok || holder != host {
			t.Errorf("%s is held by %q, %t", key.KID, holder, ok)
		}
	}
	if holder, ok := r.Holds(big.NewInt(15)); ok {
		t.Errorf("15 is held by %q", holder)
	}
	if got := len(r.Entries()); got != 4 {
		t.Errorf("%d entries", got)
	}
	m.Fail = func(op, key string) error { return errors.New("nothing is missing") }
	if err := r.Ensure(t.Context(), certificates, session); err != nil {
		t.Error(err)
	}
}

func TestNewestKeyFirst(t *testing.T) {
	t.Parallel()
	var kids []string
	for age := range created() {
		kids = append(kids, sign(t, loaded(t, filled(t, age)), host))
	}
	// 1 and 3 retire; 2 and 0 are both current, and 0 is the newest.
	soon := start().Add(time.Hour)
	m := filled(t, 0)
	put(t, m, hostKeyset, merged(t, hostKeyset, []int{3, 2, 1, 0}, map[int]time.Time{3: soon, 1: soon}))
	r := loaded(t, m)
	if diff := cmp.Diff([]string{kids[0], kids[2], kids[1], kids[3]}, published(t, r)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if signs := sign(t, r, host); signs != kids[0] {
		t.Error("it does not sign with the newest key")
	}
}

// TestAddedToAKeyset: a keyset whose keys all retire gets a new one, and keeps the others.
func TestAddedToAKeyset(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	put(t, m, programKeyset, merged(t, programKeyset, []int{0}, map[int]time.Time{0: start().Add(time.Hour)}))
	r := loaded(t, m)
	if err := r.Ensure(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	expectOpens(t, r, seal(t, loaded(t, filled(t, 0)), "old", ""), "", "old")
	if got := decode(t, get(t, m, programKeyset)); len(got.Keys) != 2 || got.Keys[0]["kid"] != decode(t, created()[0][programKeyset]).Keys[0]["kid"] {
		t.Errorf("the keyset is now %v", got)
	}
	if diff := cmp.Diff(r.Entries(), loaded(t, m).Entries()); diff != "" {
		t.Errorf("the entries changed by loading (-want +got):\n%s", diff)
	}
}

// TestAnotherUse: a host that gets a second use keeps the key of the first, and each use
// has its own.
func TestAnotherUse(t *testing.T) {
	t.Parallel()
	m := filled(t, 0)
	assertions := keys.Want{Host: host, Use: keys.UseAssertions}
	r := loaded(t, m)
	if _, _, err := r.Signer(host, keys.UseAssertions); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("before it exists: %v", err)
	}
	for range 2 {
		if err := r.Ensure(t.Context(), certificates, assertions); err != nil {
			t.Fatal(err)
		}
	}
	first := decode(t, created()[0][hostKeyset]).Keys[0]["kid"]
	stored := decode(t, get(t, m, hostKeyset)).Keys
	if len(stored) != 2 || stored[0]["kid"] != first || stored[1]["use"] != "assertions" || stored[1]["alg"] != "RS256" {
		t.Errorf("the keyset is now %v", stored)
	}
	again := loaded(t, m)
	if kids := published(t, again); len(kids) != 1 || kids[0] != first {
		t.Errorf("the keys of certificates are %v", kids)
	}
	public, err := again.Published(host, keys.UseAssertions)
	if err != nil || len(public) != 1 || public[0].KID == first {
		t.Fatalf("the keys of assertions are %v, %v", public, err)
	}
	if holder, ok := again.Holds(public[0].Key.(*rsa.PublicKey).N); !ok || holder != host {
		t.Errorf("the key of assertions is held by %q, %t", holder, ok)
	}
}
