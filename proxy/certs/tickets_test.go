package certs_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/proxytest"
)

// shared is a store that several processes share.
type shared struct {
	lock   chan struct{}
	mu     sync.Mutex
	value  []byte
	writes int
	fault  error
}

func newShared() *shared { return &shared{lock: make(chan struct{}, 1)} }

func (s *shared) Load(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == nil && s.fault == nil {
		return nil, fs.ErrNotExist
	}
	return s.value, s.fault
}

func (s *shared) Store(_ context.Context, _ string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = value
	s.writes++
	return s.fault
}

func (s *shared) Lock(context.Context, string) error   { s.lock <- struct{}{}; return nil }
func (s *shared) Unlock(context.Context, string) error { <-s.lock; return nil }

// replica is a process that serves TLS.
type replica struct {
	t       *testing.T
	tickets *certs.Tickets
	addr    string
	now     time.Time
	log     proxytest.Log
}

func newReplica(t *testing.T, s certs.TicketStore, now time.Time) *replica {
	t.Helper()
	r := &replica{t: t, now: now}
	r.tickets = certs.NewTickets(certs.TicketsConfig{Store: s, Now: func() time.Time { return r.now }, Rand: rand.Reader, Log: r.log.Logger()})
	certificate, _ := proxytest.Certificate()
	inner := &tls.Config{Certificates: []tls.Certificate{certificate}}
	settings := inner.Clone()
	settings.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner, nil } // as the program has it
	r.tickets.Use(settings)
	listener := proxytest.Listen(t)
	r.addr = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				secure := tls.Server(conn, settings)
				io.WriteString(secure, "x")
				io.Copy(io.Discard, secure)
				secure.Close()
			}()
		}
	}()
	return r
}

func (r *replica) at(now time.Time) *replica {
	r.t.Helper()
	r.now = now
	if err := r.tickets.Refresh(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// visit reports whether the session of a client was resumed, and has it keep the next ticket.
func (r *replica) visit(version uint16, cache tls.ClientSessionCache) bool {
	r.t.Helper()
	raw, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(proxytest.Patience))
	conn := tls.Client(raw, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true, ClientSessionCache: cache, MinVersion: version, MaxVersion: version}) // one certificate for all names
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {                                                                                                  // behind the ticket
		r.t.Fatal(err)
	}
	return conn.ConnectionState().DidResume
}

// TestTickets: a session that one process made resumes at another that shares the store,
// after a restart, and across a rotation; two days later at the least it is forgotten.
func TestTickets(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	day := func(days float64) time.Time { return begin.Add(time.Duration(days * 24 * float64(time.Hour))) }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		store := newShared()
		one, two := newReplica(t, store, begin).at(begin), newReplica(t, store, begin).at(begin)
		cache := tls.NewLRUClientSessionCache(1)
		for i, at := range []*replica{one, two, one, newReplica(t, store, begin).at(begin)} {
			if got, want := at.visit(version, cache), i > 0; got != want {
				t.Errorf("visit %d: resumed %v", i, got)
			}
		}
		// One has made a key that two has not read yet.
		one.at(day(1))
		if !one.visit(version, cache) || !two.visit(version, cache) {
			t.Error("a rotation ends sessions")
		}
		two.at(day(1)).at(day(1.1))
		one.at(day(1.1))
		if !two.visit(version, cache) || !one.visit(version, cache) {
			t.Error("a new key ends sessions")
		}
		one.at(day(2)).at(day(2.1))
		if store.writes != 3 {
			t.Errorf("%d keys were made in two days", store.writes)
		}
		if one.visit(version, tls.NewLRUClientSessionCache(1)) {
			t.Error("a client without a ticket resumed")
		}
		old := tls.NewLRUClientSessionCache(1)
		newReplica(t, newShared(), begin).at(begin).visit(version, old)
		if one.visit(version, old) {
			t.Error("a ticket of another store is taken")
		}
		gone := tls.NewLRUClientSessionCache(1)
		one.visit(version, gone) // by the key of day 2
		one.at(day(3)).at(day(4)).at(day(5)).at(day(5.1))
		if one.visit(version, gone) {
			t.Error("a ticket outlives its key")
		}
	}
}

// TestTicketsTogether: processes that start at once make one key.
func TestTicketsTogether(t *testing.T) {
	t.Parallel()
	store := newShared()
	var starting sync.WaitGroup
	for range 8 {
		tickets := certs.NewTickets(certs.TicketsConfig{Store: store, Now: time.Now, Rand: rand.Reader})
		starting.Go(func() {
			if err := tickets.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if store.writes != 1 {
		t.Errorf("%d keys", store.writes)
	}
}

// TestTicketFaults: a store that cannot be read is an error and keeps the keys; one that
// holds something else is written anew.
func TestTicketFaults(t *testing.T) {
	t.Parallel()
	store := newShared()
	r := newReplica(t, store, time.Now()).at(time.Now())
	cache := tls.NewLRUClientSessionCache(1)
	r.visit(tls.VersionTLS13, cache)
	store.fault = errors.New("the disk is broken")
	if err := r.tickets.Refresh(t.Context()); !errors.Is(err, store.fault) || !r.visit(tls.VersionTLS13, cache) {
		t.Errorf("got %v", err)
	}
	store.fault = nil
	for _, damage := range []string{"", "{", `{"version":2,"keys":[]}`, `{"version":1,"keys":[{"key":"AAAA"}]}`} {
		store.value = []byte(damage)
		writes := store.writes
		if r.at(time.Now()); store.writes != writes+1 {
			t.Errorf("%q was not replaced", damage)
		}
	}
	if !strings.Contains(r.log.String(), "made anew") {
		t.Errorf("logged %s", r.log.String())
	}
}
