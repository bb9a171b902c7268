package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	dialTimeout = 10 * time.Second // for a connection, names included, and again for its TLS handshake
	keepAlive   = 15 * time.Second // between probes, so that a dead machine is noticed

	// How long one address may take before the next is tried beside it (RFC 8305,
	// section 5).
	stagger = 250 * time.Millisecond

	// How long an address that did not answer is tried last.
	penalty = 10 * time.Second
)

// dialer opens connections to the website.
type dialer struct {
	network, address string
	tls              func() *tls.Config
	net              net.Dialer
	resolve          func(ctx context.Context, host string) ([]netip.Addr, error)

	mu     sync.Mutex
	failed map[string]time.Time // when an address did not answer
}

// dial opens a connection, and returns the socket below TLS as well.
func (d *dialer) dial(ctx context.Context) (conn, socket net.Conn, err error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addresses, err := d.addresses(dialing)
	if err != nil {
		return nil, nil, err
	}
	if socket, err = d.first(dialing, addresses); err != nil || d.tls == nil {
		return socket, socket, err
	}
	shaking, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	encrypted := tls.Client(&records{Conn: socket}, d.tls())
	if err := encrypted.HandshakeContext(shaking); err != nil {
		_ = socket.Close() // the handshake's error says more
		return nil, nil, fmt.Errorf("beginning TLS: %w", err)
	}
	return encrypted, socket, nil
}

// addresses asks for the addresses of the website, those last that did not answer
// lately.
func (d *dialer) addresses(ctx context.Context) ([]string, error) {
	if d.network == "unix" {
		return []string{d.address}, nil
	}
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{d.address}, nil
	}
	found, err := d.resolve(ctx, host)
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var good, bad []string
	for _, ip := range found {
		address := net.JoinHostPort(ip.Unmap().String(), port)
		if at, found := d.failed[address]; found && time.Since(at) < penalty {
			bad = append(bad, address)
		} else {
			good = append(good, address)
		}
	}
	return append(good, bad...), nil
}

// note remembers that addresses did not answer. Those whose time is over, which the
// website may not have any more, are forgotten.
func (d *dialer) note(addresses ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for address, at := range d.failed {
		if time.Since(at) >= penalty {
			delete(d.failed, address)
		}
	}
	if d.failed == nil {
		d.failed = make(map[string]time.Time)
	}
	for _, address := range addresses {
		d.failed[address] = time.Now()
	}
}

// first connects to the first of some addresses that answers: one after the other,
// the next already when one is slow.
func (d *dialer) first(ctx context.Context, addresses []string) (net.Conn, error) {
	if len(addresses) == 1 {
		return d.net.DialContext(ctx, d.network, addresses[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		address string
		conn    net.Conn
		err     error
	}
	results := make(chan result)
	var trying []string
	begin := func() {
		address := addresses[0]
		addresses = addresses[1:]
		trying = append(trying, address)
		go func() {
			conn, err := d.net.DialContext(ctx, d.network, address)
			results <- result{address, conn, err}
		}()
	}
	defer func() { // those that lost
		rest := len(trying)
		go func() {
			for range rest {
				if r := <-results; r.conn != nil {
					_ = r.conn.Close()
				}
			}
		}()
	}()
	var failure error // the first says the most
	for next := time.NewTimer(stagger); ; next.Reset(stagger) {
		if len(addresses) > 0 {
			begin()
		} else if len(trying) == 0 {
			return nil, failure
		}
		select {
		case <-next.C:
		case r := <-results:
			trying = slices.DeleteFunc(trying, func(address string) bool { return address == r.address })
			if r.err == nil {
				d.note(trying...) // they had more time, and did not answer
				return r.conn, nil
			}
			if failure == nil {
				failure = r.err
			}
			if !errors.Is(r.err, context.Canceled) {
				d.note(r.address)
			}
		}
	}
}

// records is a connection below TLS. It hands on no more than the TLS record that
// was begun (RFC 8446, section 5.1), so that what follows stays in the socket, where
// Conn.clean sees it.
type records struct {
	net.Conn
	header []byte // as far as it was read
	left   int    // bytes of the record
	shut   bool   // reads end at once, with an error that crypto/tls forgets
}

func (r *records) Read(p []byte) (int, error) {
	const headerSize = 5
	if r.shut {
		return 0, os.ErrDeadlineExceeded
	}
	if r.left > 0 {
		n, err := r.Conn.Read(p[:min(len(p), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.Conn.Read(p[:min(len(p), headerSize-len(r.header))])
	if r.header = append(r.header, p[:n]...); len(r.header) == headerSize {
		r.left = int(r.header[3])<<8 | int(r.header[4])
		r.header = r.header[:0]
	}
	return n, err
}
