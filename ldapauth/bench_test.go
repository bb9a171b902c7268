package ldapauth_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// BenchmarkSignIn compares whole sign-ins over ldaps with what a plain client of the library does for
// them, in turns, so that both see the same machine: search + bind + search, and search + bind, on as many
// connections as a Directory has.
func BenchmarkSignIn(b *testing.B) {
	s := sharedSlapd(b)
	cfg := config(s)
	cfg.Schema.AddressAttributes = []string{"mail"} // as most directories have it, and the plain client asks
	d := open(b, cfg)
	if err := d.Ping(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("at=%d", workers), func(b *testing.B) {
			plain := newPlainClient(b, s, min(workers, ldapauth.DefaultMaxBinds))
			var n atomic.Int64
			next := func() string { return fmt.Sprintf("user%05d", n.Add(1)%1000+1) }
			ours := &contender{signIn: func() error {
				res, err := d.Authenticate(context.Background(), next(), ldaptest.Password, nil)
				if err == nil && (res.Status != identity.OK || len(res.Person.Addresses) != 1) {
					err = fmt.Errorf("%v with %v", res.Status, res.Person.Addresses)
				}
				return err
			}}
			three := &contender{signIn: func() error { return plain.signIn(next(), true) }}
			two := &contender{signIn: func() error { return plain.signIn(next(), false) }}
			const round = 192 // sign-ins before it is the next one's turn
			for left := b.N; left > 0; left -= round {
				for _, c := range []*contender{ours, three, two} {
					c.run(b, workers, max(workers, min(left, round)))
				}
			}
			b.ReportMetric(0, "ns/op") // of three contenders together
			b.ReportMetric(ours.rate(), "sign-ins/s")
			b.ReportMetric(100*ours.rate()/three.rate(), "%of-search-bind-search")
			b.ReportMetric(100*ours.rate()/two.rate(), "%of-search-bind")
			b.ReportMetric(ours.p99(), "p99-ms")
			b.ReportMetric(three.p99(), "p99-ms-of-search-bind-search")
			b.ReportMetric(ours.allocations(), "allocs/sign-in")
			b.ReportMetric(three.allocations(), "allocs/search-bind-search")
		})
	}
}

// contender is one way to sign in, with its measurements.
type contender struct {
	signIn  func() error
	took    time.Duration
	mallocs uint64
	times   []time.Duration
}

// run signs n people in, some at once.
func (c *contender) run(b *testing.B, workers, n int) {
	b.Helper()
	var (
		before, after runtime.MemStats
		group         sync.WaitGroup
		left          atomic.Int64
	)
	left.Store(int64(n))
	times := make([][]time.Duration, workers)
	runtime.ReadMemStats(&before)
	began := time.Now()
	for worker := range workers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				began := time.Now()
				if err := c.signIn(); err != nil {
					b.Error(err)
					return
				}
				times[worker] = append(times[worker], time.Since(began))
			}
		})
	}
	group.Wait()
	c.took += time.Since(began)
	runtime.ReadMemStats(&after)
	c.mallocs += after.Mallocs - before.Mallocs
	c.times = append(c.times, slices.Concat(times...)...)
}

func (c *contender) rate() float64 { return float64(len(c.times)) / c.took.Seconds() }

func (c *contender) allocations() float64 { return float64(c.mallocs) / float64(max(1, len(c.times))) }

// p99 is in milliseconds.
func (c *contender) p99() float64 {
	slices.Sort(c.times)
	if len(c.times) == 0 {
		return 0
	}
	return c.times[len(c.times)*99/100].Seconds() * 1000
}

// plainClient signs people in with the library alone.
type plainClient struct {
	baseDN            string
	searchers, binder chan *ldap.Conn
}

func newPlainClient(b *testing.B, s *ldaptest.Server, connections int) *plainClient {
	b.Helper()
	p := &plainClient{baseDN: s.BaseDN, searchers: make(chan *ldap.Conn, connections), binder: make(chan *ldap.Conn, connections)}
	for range connections {
		for _, pool := range []chan *ldap.Conn{p.searchers, p.binder} {
			conn, err := ldap.DialURL(s.LDAPSURL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { conn.Close() })
			if err := conn.Bind(s.BindDN, s.BindPassword); err != nil {
				b.Fatal(err)
			}
			pool <- conn
		}
	}
	return p
}

// signIn asks for little, and only for the holders of one address attribute.
func (p *plainClient) signIn(login string, again bool) error {
	e, err := p.search("(&(objectClass=inetOrgPerson)(|(uid=" + login + ")(mail=" + login + ")))")
	if err != nil {
		return err
	}
	conn := <-p.binder
	err = conn.Bind(e.DN, ldaptest.Password)
	p.binder <- conn
	if err == nil && again {
		_, err = p.search("(mail=" + e.GetAttributeValue("mail") + ")")
	}
	return err
}

func (p *plainClient) search(filter string) (*ldap.Entry, error) {
	conn := <-p.searchers
	defer func() { p.searchers <- conn }()
	res, err := conn.Search(&ldap.SearchRequest{
		BaseDN: p.baseDN, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, Filter: filter,
		Attributes: []string{"entryUUID", "mail", "uid", "cn", "pwdChangedTime"},
	})
	if err != nil {
		return nil, err
	}
	if len(res.Entries) != 1 {
		return nil, fmt.Errorf("%d entries for %s", len(res.Entries), filter)
	}
	return res.Entries[0], nil
}

// BenchmarkLookup is the re-check of a live session: two searches.
func BenchmarkLookup(b *testing.B) {
	d := open(b, config(sharedSlapd(b)))
	id := signIn(b, d, "user00001", ldaptest.Password).Person.ID
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if res, err := d.Lookup(context.Background(), id); err != nil || res.Status != identity.OK {
				b.Errorf("%v, %v", res.Status, err)
				return
			}
		}
	})
}
