package keys_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/keys/keystest"
)

// index is an index.json as a person may edit it.
type index struct {
	Version int              `json:"version"`
	Host    string           `json:"host,omitempty"`
	Keys    []map[string]any `json:"keys"`
}

func readIndex(t *testing.T, m *keystest.Memory, shelf string) (i index) {
	t.Helper()
	data, err := m.Load(t.Context(), shelf+"/index.json")
	if err == nil {
		err = json.Unmarshal(data, &i)
	}
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func writeIndex(t *testing.T, m *keystest.Memory, shelf string, i index) {
	t.Helper()
	data, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	put(t, m, shelf+"/index.json", data)
}

// rotate adds another store's key to m as the current one, and lets m's own retire.
func rotate(t *testing.T, m, other *keystest.Memory, shelf string, retires time.Time) {
	t.Helper()
	i := readIndex(t, m, shelf)
	i.Keys[0]["retires"] = retires
	writeIndex(t, m, shelf, i)
	merge(t, m, other, shelf)
}

// merge adds another store's keys to those of m.
func merge(t *testing.T, m, other *keystest.Memory, shelf string) {
	t.Helper()
	i, more := readIndex(t, m, shelf), readIndex(t, other, shelf).Keys
	for _, entry := range more {
		name := fmt.Sprintf("%s/%s.pem", shelf, entry["kid"])
		key, err := other.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		put(t, m, name, key)
	}
	i.Keys = append(i.Keys, more...)
	writeIndex(t, m, shelf, i)
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	m, other := filled(t, certificates, session), filled(t, certificates, session)
	old, young := loaded(t, m), loaded(t, other)
	retires := start().Add(time.Hour)
	rotate(t, m, other, "persona/keys/program", retires)
	rotate(t, m, other, "persona/keys/hosts/"+host, retires)

	now := start()
	r := ringAt(m, func() time.Time { return now })
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	oldText, youngText := seal(t, old, "old", ""), seal(t, young, "young", "")
	published := func() (fingerprints []string) {
		all, err := r.Published(host)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			fingerprints = append(fingerprints, k.Fingerprint())
		}
		return fingerprints
	}

	if got := sign(t, r, host); got != sign(t, young, host) {
		t.Error("it does not sign with the current key")
	}
	expectOpens(t, r, oldText, "", "old")
	expectOpens(t, r, youngText, "", "young")
	expectOpens(t, young, seal(t, r, "text", ""), "", "text")
	if diff := cmp.Diff([]string{sign(t, young, host), sign(t, old, host)}, published()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}

	now = retires
	expectOpens(t, r, youngText, "", "young")
	if _, err := r.Open(keys.UseSession, oldText, nil); !errors.Is(err, keys.ErrForged) {
		t.Errorf("a retired secret opens: %v", err)
	}
	if diff := cmp.Diff([]string{sign(t, young, host)}, published()); diff != "" {
		t.Errorf("published after the retirement (-want +got):\n%s", diff)
	}
	if got := len(r.Entries()); got != 4 {
		t.Errorf("%d entries", got)
	}
	m.Fail = func(op, key string) error { return errors.New("nothing is missing") }
	if err := r.Ensure(t.Context(), certificates, session); err != nil {
		t.Error(err)
	}
}

func TestYoungestFirst(t *testing.T) {
	t.Parallel()
	var stores []*keystest.Memory
	var want []string
	for age := range 4 {
		m := keystest.NewMemory()
		r := ringAt(m, func() time.Time { return start().Add(-time.Duration(age) * time.Hour) })
		if err := r.Ensure(t.Context(), certificates); err != nil {
			t.Fatal(err)
		}
		stores, want = append(stores, m), append(want, sign(t, r, host))
	}
	// By age 0 to 3; 1 and 3 retire, 2 and 0 are both current: 0 signs.
	shelf := "persona/keys/hosts/" + host
	rotate(t, stores[3], stores[2], shelf, start().Add(time.Hour))
	rotate(t, stores[1], stores[0], shelf, start().Add(time.Hour))
	merge(t, stores[3], stores[1], shelf)
	want = []string{want[0], want[2], want[1], want[3]}

	var got []string
	published, err := loaded(t, stores[3]).Published(host)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range published {
		got = append(got, k.Fingerprint())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if signs := sign(t, loaded(t, stores[3]), host); signs != want[0] {
		t.Error("it does not sign with the youngest key")
	}
}
