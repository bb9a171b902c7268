package servers_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

var shared = ldaptest.Shared{Start: func(dir string) (*ldaptest.Server, error) { return ldaptest.Start(dir, ldaptest.Options{}) }}

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// names are a DNS with these names.
type names struct {
	mu        sync.Mutex
	addresses map[string][]string
	services  map[string][]*net.SRV // by _service._tcp.name
	asked     map[string]int
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count(host)
	var all []netip.Addr
	for _, address := range n.addresses[host] {
		all = append(all, netip.MustParseAddr(address))
	}
	if all == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

func (n *names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name = "_" + service + "._" + proto + "." + name
	n.count(name)
	if n.services[name] == nil {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, n.services[name], nil
}

func (n *names) count(name string) {
	if n.asked == nil {
		n.asked = make(map[string]int)
	}
	n.asked[name]++
}

func (n *names) lookups(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name]
}

func (n *names) set(host string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses[host] = addresses
}

// timeout is that of a set where a test says no other.
const timeout = 10 * time.Second

// config speaks ldaps to the server, under the name in its certificate.
func config(s *ldaptest.Server, urls ...string) servers.Config {
	return servers.Config{
		URLs: urls, TLSServerName: "localhost", Roots: s.Roots(), BindDN: s.BindDN, BindPassword: servers.Secret(s.BindPassword),
		Timeout: timeout, MaxBinds: 8, MaxSearches: 8, Log: zerolog.Nop(),
	}
}

func open(tb testing.TB, cfg servers.Config) *servers.Set {
	tb.Helper()
	s, err := servers.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// search finds one person, in the time-out of the set.
func search(s *servers.Set) error {
	res, err := s.Search(context.Background(), &ldap.SearchRequest{
		BaseDN: ldaptest.BaseDN, Scope: ldap.ScopeWholeSubtree, SizeLimit: 2, Filter: "(uid=alice)", Attributes: []string{"mail"},
	})
	if err == nil && (len(res.Entries) != 1 || res.Entries[0].GetAttributeValue("mail") == "") {
		return fmt.Errorf("found %+v", res.Entries)
	}
	return err
}

// bind checks a password.
func bind(s *servers.Set, password string) error {
	_, err := s.Bind(context.Background(), ldaptest.PersonDN("alice"), servers.Secret(password))
	return err
}

// signIn is a search and a bind.
func signIn(s *servers.Set) error {
	if err := search(s); err != nil {
		return err
	}
	return bind(s, ldaptest.Password)
}

// together does something n times at once, and returns the errors.
func together(n int, do func() error) error {
	errs := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { errs[i] = do() })
	}
	running.Wait()
	return errors.Join(errs...)
}

// hostOf is host:port of a URL, portOf the port.
func hostOf(url string) string { return url[strings.Index(url, "://")+3:] }

func portOf(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// hintOf returns an error's text and its hint, as an operator gets them.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return err.Error() + " (hint: " + hinted.Hint() + ")"
	}
	return fmt.Sprint(err)
}

// stats are the figures of the server with an address.
func stats(s *servers.Set, address string) servers.ServerStats {
	for _, one := range s.Stats().Servers {
		if one.Address == address {
			return one
		}
	}
	return servers.ServerStats{}
}
