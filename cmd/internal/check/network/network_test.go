package network_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"persona-sidecar/cmd/internal/check/network"
)

func TestParseResolve(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "192.0.2.1", "192.0.2.1:8443", "::1", "[::1]", "[::1]:8443", "persona", "persona:8443"} {
		if _, err := network.ParseResolve(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"http://a", "a:b", "a:0", "a:65536", ":443", "a b", "a:1:2", "a@b"} {
		if _, err := network.ParseResolve(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestDNSServer asks a real name server for CAA records.
func TestDNSServer(t *testing.T) {
	t.Parallel()
	server := nameServer(t, map[string]func(*dns.Msg){
		"example.test.":   func(m *dns.Msg) { m.Answer = append(m.Answer, caaRecord("example.test.", 128, "issue", "ca.example")) },
		"b.example.test.": func(m *dns.Msg) { m.Rcode = dns.RcodeNameError },
		"broken.test.":    func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"own.example.test.": func(m *dns.Msg) {
			for n := range 60 { // more than one datagram holds
				m.Answer = append(m.Answer, caaRecord("own.example.test.", 0, "issue", fmt.Sprintf("ca%d.%s.example", n, strings.Repeat("x", 40))))
			}
		},
	})
	resolver := network.DNS{Servers: []string{"127.0.0.1:1", server}}
	records, at, err := resolver.CAA(t.Context(), "a.b.example.test")
	if err != nil || at != "example.test" || len(records) != 1 || records[0] != (network.CAA{Critical: true, Tag: "issue", Value: "ca.example"}) {
		t.Errorf("got %v at %q, %v", records, at, err)
	}
	records, at, err = resolver.CAA(t.Context(), "own.example.test")
	if err != nil || at != "own.example.test" || len(records) != 60 {
		t.Errorf("got %d records at %q, %v", len(records), at, err)
	}
	if records, at, err := resolver.CAA(t.Context(), "none.test"); err != nil || len(records) != 0 || at != "" {
		t.Errorf("got %v at %q, %v", records, at, err)
	}
	if _, _, err := resolver.CAA(t.Context(), "broken.test"); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("got %v", err)
	}
	if _, _, err := (network.DNS{Servers: []string{}}).CAA(t.Context(), "none.test"); err == nil {
		t.Error("no server was asked, and that is no error")
	}
}

func TestDNSAddresses(t *testing.T) {
	t.Parallel()
	found, err := network.DNS{}.Addresses(t.Context(), "localhost")
	if err != nil || len(found) == 0 || !found[0].IsLoopback() {
		t.Errorf("got %v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (network.DNS{}).Addresses(ctx, "name.invalid"); err == nil {
		t.Error("a name that cannot be was found")
	}
}

// TestResolverDown: when this machine's own name server is the cause, it is named;
// when it answers for the root of DNS, the domain's are.
func TestResolverDown(t *testing.T) {
	t.Parallel()
	fails := func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, test := range map[string]struct {
		server string
		own    bool
	}{
		"nothing listens":    {"127.0.0.1:1", true},
		"no way out":         {nameServer(t, map[string]func(*dns.Msg){".": fails, "example.test.": fails}), true},
		"the domain's fault": {nameServer(t, map[string]func(*dns.Msg){"example.test.": fails}), false},
		"inner names alone": {nameServer(t, map[string]func(*dns.Msg){
			"example.test.": fails, ".": func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		}), false},
		"silent": {silent.LocalAddr().String(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolver := network.DNS{Servers: []string{test.server}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "silent" { // as when the time is over
				ctx, cancel = context.WithTimeout(ctx, time.Nanosecond)
				defer cancel()
			}
			_, err := resolver.Addresses(ctx, "example.test")
			_, _, caaErr := resolver.CAA(ctx, "example.test")
			for _, err := range []error{err, caaErr} {
				own, ok := errors.AsType[*network.ResolverError](err)
				if err == nil || ok != test.own {
					t.Errorf("got %v", err)
				}
				if ok && (!strings.Contains(own.Error(), test.server) || !strings.Contains(own.Hint(), "/etc/resolv.conf")) {
					t.Errorf("got %v, %s", own, own.Hint())
				}
			}
		})
	}
	missing := nameServer(t, map[string]func(*dns.Msg){".": fails, "example.test.": func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }})
	_, err = network.DNS{Servers: []string{missing}}.Addresses(t.Context(), "example.test")
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
		t.Errorf("got %v", err)
	}
}

func caaRecord(name string, flag uint8, tag, value string) dns.RR {
	return &dns.CAA{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCAA, Class: dns.ClassINET}, Flag: flag, Tag: tag, Value: value}
}

// nameServer serves UDP and TCP on one port of loopback.
func nameServer(t *testing.T, answers map[string]func(*dns.Msg)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		if answer := answers[query.Question[0].Name]; answer != nil {
			answer(reply)
		}
		if _, datagram := w.RemoteAddr().(*net.UDPAddr); datagram {
			reply.Truncate(1232)
		}
		_ = w.WriteMsg(reply)
	})
	for _, server := range []*dns.Server{{Listener: listener, Handler: handler}, {PacketConn: packets, Handler: handler}} {
		started, done := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { done <- server.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-done
		})
	}
	return listener.Addr().String()
}
