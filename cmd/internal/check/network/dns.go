package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvers = "/etc/resolv.conf"
	queryTime = 3 * time.Second
)

// Resolver asks DNS.
type Resolver interface {
	// Addresses returns the A and AAAA records of a host. That there is no such
	// name is a *net.DNSError with IsNotFound.
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
	// CAA returns the CAA records that hold for a host: its own, or those of
	// the closest name above it that has any (RFC 8659 section 3), and that
	// name. No records and no error: any CA may issue.
	CAA(ctx context.Context, host string) (records []CAA, at string, err error)
}

// CAA is a Certification Authority Authorization record (RFC 8659).
type CAA struct {
	Critical   bool
	Tag, Value string
}

// Issuers returns, by RFC 8659 section 4.2, who may issue for a name that is no
// wildcard: none if no record is about that. unknown is the tag of a critical record
// that stops every CA.
func Issuers(records []CAA) (issuers []string, unknown string) {
	for _, record := range records {
		switch strings.ToLower(record.Tag) {
		case "issue":
			issuer, _, _ := strings.Cut(record.Value, ";")
			issuers = append(issuers, strings.ToLower(strings.TrimSpace(issuer)))
		case "issuewild", "iodef", "issuemail", "contactemail", "contactphone":
		default:
			if record.Critical {
				return nil, record.Tag
			}
		}
	}
	return issuers, ""
}

// DNS is the Resolver of this machine.
type DNS struct {
	// Servers are asked, each as host:port; nil: those of /etc/resolv.conf.
	Servers []string
}

// ResolverError means that no name can be looked up from this machine: the fault is
// with its own name servers, not with those of a domain.
type ResolverError struct {
	Servers []string // as host:port
	Err     error    // of asking the last one
}

func (e *ResolverError) Error() string {
	return fmt.Sprintf("this machine's name server gives no answers (%s): %v", strings.Join(e.Servers, ", "), e.Err)
}

// Hint is what to do about it.
func (*ResolverError) Hint() string {
	return "start the name server that " + resolvers + " names, or correct that file: no name can be looked up from here"
}

func (e *ResolverError) Unwrap() error { return e.Err }

// Addresses implements Resolver. It knows /etc/hosts too.
func (d DNS) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	limited, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	resolver := new(net.Resolver)
	if len(d.Servers) > 0 {
		resolver.PreferGo = true
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, d.Servers[0])
		}
	}
	found, err := resolver.LookupNetIP(limited, "ip", host)
	if err != nil {
		return nil, d.blame(ctx, err)
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), nil
}

// Dial connects to host:port by the system's look-up.
func (d DNS) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := new(net.Dialer).DialContext(ctx, network, address)
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return nil, d.blame(ctx, err)
	}
	return connection, err
}

// CAA implements Resolver by climbing to the first name that has records.
func (d DNS) CAA(ctx context.Context, host string) (records []CAA, at string, err error) {
	servers, err := d.servers()
	if err != nil {
		return nil, "", err
	}
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		records, err := askCAA(ctx, servers, name)
		if err != nil {
			return nil, name, d.blame(ctx, err)
		}
		if len(records) > 0 {
			return records, name, nil
		}
	}
	return nil, "", nil
}

// servers are the name servers of this machine.
func (d DNS) servers() ([]string, error) {
	if d.Servers != nil {
		return d.Servers, nil
	}
	config, err := dns.ClientConfigFromFile(resolvers)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", resolvers, err)
	}
	var servers []string
	for _, server := range config.Servers {
		servers = append(servers, net.JoinHostPort(server, config.Port))
	}
	return servers, nil
}

// blame returns a [ResolverError] when the servers do not even know the root of DNS,
// and otherwise the error of looking up a name, which the name's own servers caused.
func (d DNS) blame(ctx context.Context, failed error) error {
	if dns, ok := errors.AsType[*net.DNSError](failed); ok && dns.IsNotFound {
		return failed
	}
	servers, err := d.servers()
	if err != nil {
		return failed
	}
	err = errors.New("there is none")
	for _, server := range servers {
		var reply *dns.Msg
		// A server for inner names alone refuses to answer, which is an answer.
		if reply, err = exchange(ctx, server, ".", dns.TypeNS); err == nil && reply.Rcode != dns.RcodeServerFailure {
			return failed
		}
		if err == nil {
			err = errors.New("it cannot reach the root of DNS (SERVFAIL)")
		}
	}
	return &ResolverError{Servers: servers, Err: err}
}

// askCAA asks the servers in turn for the records of exactly one name.
func askCAA(ctx context.Context, servers []string, name string) ([]CAA, error) {
	err := errors.New("there is no name server")
	for _, server := range servers {
		var reply *dns.Msg
		if reply, err = exchange(ctx, server, name, dns.TypeCAA); err == nil && reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("asking %s for CAA of %s: %s", server, name, dns.RcodeToString[reply.Rcode])
		}
		if err != nil {
			continue
		}
		var records []CAA
		for _, record := range reply.Answer {
			if caa, ok := record.(*dns.CAA); ok {
				records = append(records, CAA{Critical: caa.Flag&0x80 != 0, Tag: caa.Tag, Value: caa.Value})
			}
		}
		return records, nil
	}
	return nil, err
}

func exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	query.SetEdns0(1232, false)
	client := &dns.Client{Timeout: queryTime}
	reply, _, err := client.ExchangeContext(ctx, query, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, query, server)
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s of %s: %w", server, dns.TypeToString[kind], name, err)
	}
	return reply, nil
}
