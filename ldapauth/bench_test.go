package ldapauth_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/ldaptest"
)

// BenchmarkAuthenticate is a whole sign-in over ldaps: search, bind, second
// search. BenchmarkRebind is what the library and the server cost for the bind
// alone.
func BenchmarkAuthenticate(b *testing.B) {
	d := open(b, config(sharedSlapd(b)))
	signIn(b, d, "user00001", ldaptest.Password)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			login := fmt.Sprintf("user%05d", n.Add(1)%1000+1)
			if res, err := d.Authenticate(context.Background(), login, ldaptest.Password, nil); err != nil || res.Status != identity.OK {
				b.Errorf("%s: %v, %v", login, res.Status, err)
				return
			}
		}
	})
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

// BenchmarkRebind is the floor: binds by known DN with bare go-ldap, one
// connection for each worker.
func BenchmarkRebind(b *testing.B) {
	s := sharedSlapd(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := ldap.DialURL(s.LDAPSURL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}))
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		for pb.Next() {
			if err := conn.Bind(ldaptest.PersonDN(fmt.Sprintf("user%05d", n.Add(1)%1000+1)), ldaptest.Password); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkSearchAndRebind is the floor with the search that finds the DN: the
// least that any search-then-bind sign-in can cost.
func BenchmarkSearchAndRebind(b *testing.B) {
	s := sharedSlapd(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tlsConfig := ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12})
		searcher, err := ldap.DialURL(s.LDAPSURL(), tlsConfig)
		if err != nil {
			b.Error(err)
			return
		}
		defer searcher.Close()
		binder, err := ldap.DialURL(s.LDAPSURL(), tlsConfig)
		if err != nil {
			b.Error(err)
			return
		}
		defer binder.Close()
		if err := searcher.Bind(s.BindDN, s.BindPassword); err != nil {
			b.Error(err)
			return
		}
		for pb.Next() {
			login := fmt.Sprintf("user%05d", n.Add(1)%1000+1)
			res, err := searcher.Search(&ldap.SearchRequest{
				BaseDN: s.BaseDN, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2,
				Filter: "(&(objectClass=inetOrgPerson)(|(uid=" + login + ")(mail=" + login + ")))", Attributes: []string{"mail"},
			})
			if err != nil || len(res.Entries) != 1 {
				b.Errorf("%d entries, %v", len(res.Entries), err)
				return
			}
			if err := binder.Bind(res.Entries[0].DN, ldaptest.Password); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
