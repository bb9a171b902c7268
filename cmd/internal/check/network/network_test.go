package network_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

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
		if answer := answers[query.Question[0].Name]; answer != nil && query.Question[0].Qtype == dns.TypeCAA {
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
