package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// FuzzUnmarshal reads foreign plaintexts, as an older or newer program would seal them.
func FuzzUnmarshal(f *testing.F) {
	t := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	good, err := Session{
		ID: "00112233445566778899aabbccddeeff", Person: "person", Computer: Shared,
		Authenticated: t, Allowed: t, Seen: t, Ends: t, Epoch: 7, PasswordChanged: t,
	}.marshal()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, {layout}, good, good[:headerLen], good[:headerLen+1], append([]byte{layout - 1}, good[1:]...)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := unmarshal(data)
		if err != nil {
			if !errors.Is(err, errNone) || s != (Session{}) {
				t.Fatalf("%+v, %v", s, err)
			}
			return
		}
		again, err := s.marshal()
		if err != nil || !slices.Equal(again, data) {
			t.Fatalf("%x became %x, %v", data, again, err)
		}
	})
}

func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	table := newTable[int](10)
	table.put("busy", -1)
	for i := range 100 {
		table.put(fmt.Sprint(i), i)
		if len(table.young) > 10 || len(table.old) > 10 {
			t.Fatalf("%d and %d entries", len(table.young), len(table.old))
		}
		if got, ok := table.get(fmt.Sprint(i)); got != i || !ok {
			t.Fatal("a fresh one is forgotten")
		}
		if got, ok := table.get("busy"); got != -1 || !ok {
			t.Fatal("one that is used is forgotten")
		}
	}
	if _, ok := table.get("0"); ok {
		t.Error("nothing is forgotten")
	}
	table.forget("busy")
	if got := table.add("busy", 1); got != 1 {
		t.Errorf("forgotten, it is %d", got)
	}
	if got := table.add("busy", 2); got != 1 {
		t.Errorf("added twice, it is %d", got)
	}
}

// fullStore refuses.
type fullStore struct{ Store }

func (fullStore) Set(context.Context, string, []byte, time.Duration) error {
	return errors.New("no room")
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	p := NewSignOuts(fullStore{}, time.Now)
	for i := range maxPending + 100 {
		if err := p.Set(t.Context(), fmt.Sprint(i), nil, time.Hour); err == nil {
			t.Fatal("it was stored")
		}
	}
	if len(p.kept) != maxPending {
		t.Errorf("%d sign-outs are remembered", len(p.kept))
	}
	if _, kept := p.kept[fmt.Sprint(maxPending+99)]; !kept {
		t.Error("the last one is forgotten")
	}
}
