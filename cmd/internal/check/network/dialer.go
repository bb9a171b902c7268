// Package network reaches hosts as an outsider does: by DNS, or at an address that
// stands in for it before DNS leads there. It compares their clocks with this one.
package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	connectTime   = 7 * time.Second // bounds a connection attempt to one address
	handshakeTime = 10 * time.Second
)

// Dialer connects to hosts.
type Dialer struct {
	Resolver Resolver
	// Dial opens a TCP connection to host:port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve is where the Names are, instead of where DNS says.
	Resolve Resolve
	Names   map[string]bool
}

// DialContext connects to a host:port by what DNS says, trying each address.
func (d *Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	targets, err := d.Targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, target := range targets {
		connection, err := d.Connect(ctx, target)
		if err == nil {
			return connection, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Connect connects to one target, within 7 seconds.
func (d *Dialer) Connect(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return d.Dial(ctx, "tcp", target)
}

// Chain shakes hands with a target within 10 seconds and returns the certificates that
// it sends, verified for name as the error says: with nothing but what it sends.
func (d *Dialer) Chain(ctx context.Context, target, name string, roots *x509.CertPool, now time.Time) ([]*x509.Certificate, error) {
	connection, err := d.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	// It is verified below: a refused handshake would not show the chain.
	secured := tls.Client(connection, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	chain := secured.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("the server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: now})
	return chain, err
}

// Targets returns where to connect for a port of a host, each as host:port: at
// least one.
func (d *Dialer) Targets(ctx context.Context, host, port string) ([]string, error) {
	if d.Redirected(host) {
		target := d.Resolve.target(port)
		if target == "" {
			return nil, fmt.Errorf("-resolve names a port for HTTPS, and none is known for port %s", port)
		}
		return []string{target}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.String(), port)}, nil
	}
	addresses, err := d.Addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, ip := range addresses {
		targets = append(targets, net.JoinHostPort(ip.String(), port))
	}
	return targets, nil
}

// Addresses returns what DNS says of a host: at least one address.
func (d *Dialer) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addresses, err := d.Resolver.Addresses(ctx, host)
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addresses, err
}

// Redirected reports whether a host is where Resolve says.
func (d *Dialer) Redirected(host string) bool {
	return d.Names[host] && d.Resolve.host != ""
}

// RedirectedPlain reports whether Resolve knows where plain HTTP is.
func (d *Dialer) RedirectedPlain() bool { return d.Resolve.target("80") != "" }

// HostOf returns the host of host or host:port.
func HostOf(authority string) string {
	host, _, _ := strings.Cut(authority, ":")
	return host
}

// Resolve is an address at which our names are found instead of where DNS says.
// The zero value leaves it to DNS.
type Resolve struct {
	host  string // IP address or host name; "" for none
	https int    // port; 0: the port that outsiders use
	plain int    // port for plain HTTP; 0: 80, -1: not known
}

// ParseResolve reads ADDR or ADDR:PORT, where ADDR is an IP address or a host
// name. With a port, that is where HTTPS is, and plain HTTP is at the
// port of the configuration's listen.http.
func ParseResolve(text string) (Resolve, error) {
	if text == "" {
		return Resolve{}, nil
	}
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return Resolve{host: address.String()}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, ""
	}
	if strings.ContainsAny(text, "/ @") || host == "" || err != nil && strings.Contains(text, ":") {
		return Resolve{}, fmt.Errorf("%q is not an address such as 192.0.2.1 or 127.0.0.1:8443", text)
	}
	if port == "" {
		return Resolve{host: host}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Resolve{}, errors.New("the port of " + strconv.Quote(text) + " is not a number from 1 to 65535")
	}
	return Resolve{host: host, https: int(number), plain: -1}, nil
}

// Host is the IP address or host name; "" for none.
func (r Resolve) Host() string { return r.host }

// WithPlain completes an address with a port, which is that of the program's own
// listener: plain HTTP is at the port of listen, its listener for it.
func (r Resolve) WithPlain(listen string) Resolve {
	if r.plain != -1 || listen == "" {
		return r
	}
	_, port, err := net.SplitHostPort(listen)
	if number, bad := strconv.Atoi(port); err == nil && bad == nil && number > 0 {
		r.plain = number
	}
	return r
}

// target returns where to connect for a port of one of the names; "" when that is
// not known.
func (r Resolve) target(port string) string {
	switch {
	case port == "80" && r.plain == -1:
		return ""
	case port == "80" && r.plain > 0:
		port = strconv.Itoa(r.plain)
	case port != "80" && r.https > 0:
		port = strconv.Itoa(r.https)
	}
	return net.JoinHostPort(r.host, port)
}

// Issuer is who issued a certificate, in short.
func Issuer(c *x509.Certificate) string {
	if len(c.Issuer.Organization) > 0 && c.Issuer.CommonName != "" {
		return c.Issuer.Organization[0] + " " + c.Issuer.CommonName
	}
	return c.Issuer.String()
}
