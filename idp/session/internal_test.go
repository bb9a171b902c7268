package session

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
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

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	r := newRevocations(nil, zerolog.Nop())
	for i := range maxPending + 100 {
		r.remember(fmt.Sprint(i), nil)
	}
	if len(r.pending) != maxPending {
		t.Errorf("%d records are remembered", len(r.pending))
	}
	if _, kept := r.pending[fmt.Sprint(maxPending+99)]; !kept {
		t.Error("the last one is forgotten")
	}
}
