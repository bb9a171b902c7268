package acmetest

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// startDNS starts a name server over TCP, which is what Pebble's validator
// asks, and returns its address. Each name has the address 127.0.0.1 and no
// other record.
//
// The test server challtestsrv, made for this, can neither choose its own port
// nor stand twice in one process; the library beneath it can both.
func startDNS(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening for DNS: %v", err)
	}
	started := make(chan struct{})
	server := &dns.Server{
		Listener:          listener,
		Handler:           dns.HandlerFunc(answerLoopback),
		NotifyStartedFunc: func() { close(started) },
	}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-done:
		t.Fatalf("serving DNS: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return listener.Addr().String()
}

func answerLoopback(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg).SetReply(query)
	for _, q := range query.Question {
		if q.Qtype == dns.TypeA {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
				A:   net.IPv4(127, 0, 0, 1),
			})
		}
	}
	_ = w.WriteMsg(reply)
}
