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

func TestChecksAreBounded(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c := newChecks()
	c.limit = 10
	for i := range 100 {
		c.confirm(fmt.Sprint(i), check{at: at})
		c.confirm("busy", check{at: at})
		if len(c.young) > 10 || len(c.old) > 10 {
			t.Fatalf("%d and %d entries", len(c.young), len(c.old))
		}
		if !c.last(fmt.Sprint(i)).at.Equal(at) || !c.last("busy").at.Equal(at) {
			t.Fatal("a fresh check is forgotten")
		}
	}
	if !c.last("0").at.IsZero() {
		t.Error("nothing is forgotten")
	}
}

// fullStore refuses.
type fullStore struct{ Store }

func (fullStore) Set(context.Context, string, []byte, time.Duration) error {
	return errors.New("no room")
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	p := NewPending(fullStore{}, time.Now)
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
