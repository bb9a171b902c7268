package gate

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

const (
	// madeFor is how long fields, the assertion among them, are used again.
	madeFor = time.Minute
	// mostMade bounds each of the two generations of made fields, in bytes.
	mostMade = 16 << 20
)

// madeKey names fields: those of a session at a website.
type madeKey struct {
	site    *Site
	session string
}

// madeFields remembers fields for a minute, since an assertion takes a millisecond to
// sign. It is bounded: a generation that is full, or a minute old, becomes the old one,
// and the one before is forgotten.
type madeFields struct {
	mu         sync.Mutex
	young, old map[madeKey]*slot
	since      time.Time // of young
	size       int       // of what was made since, in bytes
	limit      int
}

// slot holds the fields of one key. Requests that come at once wait for the one that
// makes them.
type slot struct {
	making sync.Mutex
	latest atomic.Pointer[made]
}

// made are fields, and what they were made of.
type made struct {
	at     time.Time
	person identity.Person
	auth   time.Time
	fields []Field
}

// get returns the fields of a key, made at most a minute ago of what is known of the
// subject now.
func (m *madeFields) get(key madeKey, now time.Time, s *session.Subject, build func() (fields []Field, keep bool)) []Field {
	place := m.slot(key, now)
	if latest := place.latest.Load(); latest.serves(s, now) {
		return latest.fields
	}
	place.making.Lock()
	defer place.making.Unlock()
	if latest := place.latest.Load(); latest.serves(s, now) {
		return latest.fields
	}
	fields, keep := build()
	fields = slices.Clip(fields)
	if keep {
		place.latest.Store(&made{now, s.Person, s.AuthTime, fields})
		size := 512
		for _, f := range fields {
			size += len(f.Value)
		}
		m.mu.Lock()
		m.size += size
		m.mu.Unlock()
	}
	return fields
}

// serves reports whether fields are young enough and say what is known of the subject. Ids
// of sessions are random, but what a key stands for is nothing to rely on here.
func (l *made) serves(s *session.Subject, now time.Time) bool {
	if l == nil {
		return false
	}
	age, a, b := now.Sub(l.at), &l.person, &s.Person
	return age >= 0 && age < madeFor && l.auth.Equal(s.AuthTime) &&
		a.Directory == b.Directory && a.ID == b.ID && a.Login == b.Login && a.Name == b.Name &&
		slices.Equal(a.Groups, b.Groups) && slices.Equal(a.Addresses, b.Addresses)
}

// slot returns the place of a key, which is there from now on.
func (m *madeFields) slot(key madeKey, now time.Time) *slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := now.Sub(m.since); m.size > m.limit || len(m.young) > m.limit/512 || age >= madeFor || age < 0 {
		m.young, m.old = map[madeKey]*slot{}, m.young
		m.since, m.size = now, 0
	}
	place, known := m.young[key]
	if !known {
		if place, known = m.old[key]; !known {
			place = &slot{}
		}
		m.young[key] = place
	}
	return place
}
