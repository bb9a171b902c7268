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

// DNS is the Resolver of this machine.
type DNS struct {
	// Servers are asked for CAA records, each as host:port; nil: those of
	// /etc/resolv.conf.
	Servers []string
}

// Addresses implements Resolver. It knows /etc/hosts too.
func (DNS) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	found, err := new(net.Resolver).LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), nil
}

// CAA implements Resolver by climbing to the first name that has records.
func (d DNS) CAA(ctx context.Context, host string) (records []CAA, at string, err error) {
	servers := d.Servers
	if servers == nil {
		config, err := dns.ClientConfigFromFile(resolvers)
		if err != nil {
			return nil, "", fmt.Errorf("reading %s: %w", resolvers, err)
		}
		for _, server := range config.Servers {
			servers = append(servers, net.JoinHostPort(server, config.Port))
		}
	}
	for name := host; name != ""; _, name, _ = strings.Cut(name, ".") {
		records, err := askCAA(ctx, servers, name)
		if err != nil || len(records) > 0 {
			return records, name, err
		}
	}
	return nil, "", nil
}

// askCAA asks the servers in turn for the records of exactly one name.
func askCAA(ctx context.Context, servers []string, name string) ([]CAA, error) {
	err := errors.New("there is no name server")
	for _, server := range servers {
		var reply *dns.Msg
		if reply, err = exchange(ctx, server, name); err != nil {
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

func exchange(ctx context.Context, server, name string) (*dns.Msg, error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeCAA)
	query.SetEdns0(1232, false)
	client := &dns.Client{Timeout: queryTime}
	reply, _, err := client.ExchangeContext(ctx, query, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, query, server)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking %s for CAA of %s: %w", server, name, err)
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("asking %s for CAA of %s: %s", server, name, dns.RcodeToString[reply.Rcode])
	}
	return reply, nil
}
