package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// lookupTimeout bounds one look-up of names.
	lookupTimeout = 2 * time.Second
	// dialAge is how long addresses are taken as they are where a connection is made: many at once look up a name once.
	dialAge = time.Second
	// lookupAge is how long they are where there are connections, and the servers of SRV: Go's resolver does not tell a
	// record's time to live.
	lookupAge = time.Minute
	// maxTargets bounds the names of one SRV look-up; those that come first in the order of RFC 2782 are used.
	maxTargets = 16
	// maxServers bounds the addresses that one URL or SRV name stands for; those in use are kept.
	maxServers = 32
)

// source is one line of the configuration that servers come from.
type source struct {
	url        *url.URL
	port       string
	security   security
	srv        bool
	literal    bool   // the host is an IP address
	serverName string // for TLS; "": the target's host

	resolved time.Time // zero: never
	err      error     // of the last look-up
	servers  []*server // as they are tried
}

// target is one address that a source stands for.
type target struct {
	url     string // as it is configured, or of the SRV record
	name    string // of the server, for logs and errors: the URL, with the address where it has a name
	host    string // for TLS
	address string // IP address and port
}

// addSource takes a URL that the caller has validated.
func (s *Set) addSource(rawURL string, srv bool) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	from := &source{url: u, srv: srv, serverName: s.cfg.TLSServerName, port: ldap.DefaultLdapPort}
	switch {
	case u.Scheme == "ldaps":
		from.security, from.port = implicitTLS, ldap.DefaultLdapsPort
	case s.cfg.StartTLS:
		from.security = startTLS
	default:
		from.security = plaintext
	}
	if u.Port() != "" {
		from.port = u.Port()
	}
	_, noAddress := netip.ParseAddr(u.Hostname())
	from.literal = noAddress == nil
	s.sources = append(s.sources, from)
	return nil
}

// stale reports whether the source is due to be looked up; dialling is set where a connection is to be made.
func (f *source) stale(dialling bool) bool {
	age := time.Since(f.resolved)
	switch {
	case f.resolved.IsZero():
		return true
	case f.literal:
		return false
	case !dialling, f.srv && slices.ContainsFunc(f.servers, func(s *server) bool { return !s.down }):
		return age > lookupAge
	}
	return age > dialAge
}

// lookup returns the addresses that the source stands for now.
func (f *source) lookup(ctx context.Context, resolver Resolver) ([]target, error) {
	host := f.url.Hostname()
	if f.srv {
		return f.lookupSRV(ctx, resolver, host)
	}
	if f.literal {
		return []target{{url: f.url.String(), name: f.url.String(), host: host, address: net.JoinHostPort(host, f.port)}}, nil
	}
	return addresses(ctx, resolver, f.url.String(), host, f.port)
}

// addresses returns all addresses of one host, in the resolver's order (RFC 6724).
func addresses(ctx context.Context, resolver Resolver, url, host, port string) ([]target, error) {
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", host, err)
	}
	var targets []target
	for _, ip := range found {
		address := net.JoinHostPort(ip.Unmap().String(), port)
		if !slices.ContainsFunc(targets, func(t target) bool { return t.address == address }) {
			targets = append(targets, target{url: url, name: url + " (" + address + ")", host: host, address: address})
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("looking up %s: there is no address", host)
	}
	return targets, nil
}

// lookupSRV follows RFC 2782: the resolver sorts by priority, and by chance and weight within one.
//
// A name that DNS alone vouches for is no name to check a certificate against: without DNSSEC it may be forged. So the
// hosts must be below the domain that the configuration names (RFC 4513 section 3.1.3), or it names one for TLS.
func (f *source) lookupSRV(ctx context.Context, resolver Resolver, domain string) ([]target, error) {
	_, records, err := resolver.LookupSRV(ctx, f.url.Scheme, "tcp", domain)
	if err != nil {
		return nil, fmt.Errorf("looking up the servers of %s: %w", domain, err)
	}
	var names, foreign []string
	lists, errs := make([][]target, len(records)), make([]error, len(records))
	var running sync.WaitGroup
	for i, record := range records {
		host := strings.ToLower(strings.TrimSuffix(record.Target, "."))
		below := host == domain || strings.HasSuffix(host, "."+strings.ToLower(domain))
		switch {
		case host == "" || len(names) == maxTargets: // "." says that there is no such service
			continue
		case !below && f.serverName == "" && f.security != plaintext:
			foreign = append(foreign, host)
			continue
		}
		names = append(names, host)
		port := strconv.Itoa(int(record.Port))
		url := f.url.Scheme + "://" + net.JoinHostPort(host, port)
		running.Go(func() { lists[i], errs[i] = addresses(ctx, resolver, url, host, port) })
	}
	running.Wait()
	targets := slices.Concat(lists...)
	switch {
	case len(targets) > 0:
		return targets, nil
	case len(names) > 0:
		return nil, errors.Join(errs...)
	case len(foreign) > 0:
		return nil, WithHint(fmt.Errorf("the servers of %s are not below it: %s", domain, strings.Join(foreign, ", ")),
			"set tls_server_name to the name in their certificates, or name them in urls")
	}
	return nil, fmt.Errorf("DNS lists no servers of %s", domain)
}

// resolve looks up what is stale and waits for it. Callers at the same time share one look-up, which goes on if they leave.
func (s *Set) resolve(ctx context.Context) {
	if looking := s.refresh(true); looking != nil {
		select {
		case <-looking:
		case <-ctx.Done():
		}
	}
}

// refresh begins to look up what is stale. The channel is closed when that has ended; nil: there is nothing to do.
func (s *Set) refresh(dialling bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looking != nil || s.closing.Err() != nil {
		return s.looking
	}
	var due []*source
	for _, from := range s.sources {
		if from.stale(dialling) {
			due = append(due, from)
		}
	}
	if due == nil {
		return nil
	}
	looking := make(chan struct{})
	s.looking = looking
	s.running.Go(func() {
		defer close(looking)
		ctx, cancel := context.WithTimeout(s.closing, lookupTimeout)
		defer cancel()
		targets, errs := make([][]target, len(due)), make([]error, len(due))
		var running sync.WaitGroup
		for i, from := range due {
			running.Go(func() { targets[i], errs[i] = from.lookup(ctx, s.cfg.Resolver) })
		}
		running.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, from := range due {
			from.resolved, from.err = time.Now(), errs[i]
			if errs[i] == nil { // else the addresses that are known are used on
				s.takeLocked(from, targets[i])
			}
		}
		s.looking = nil
	})
	return looking
}

// takeLocked makes the targets the servers of a source. One that is known keeps its connections, its state and, unless
// SRV gives another order, its place; one that has gone loses its idle connections now and the others after their use.
func (s *Set) takeLocked(from *source, targets []target) {
	var kept, added []*server
	var known []*server
	for _, old := range from.servers {
		if slices.Contains(targets, old.target) {
			kept = append(kept, old)
		} else {
			s.running.Go(old.retire)
		}
	}
	for _, t := range targets {
		if i := slices.IndexFunc(kept, func(s *server) bool { return s.target == t }); i >= 0 {
			known = append(known, kept[i])
			continue
		}
		if len(kept)+len(added) >= maxServers {
			continue
		}
		one := s.newServer(from, t)
		known, added = append(known, one), append(added, one)
	}
	from.servers = append(kept, added...)
	if from.srv {
		from.servers = known
	}
}
