package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// Peer is what one address of a directory does when it is looked at from here.
type Peer struct {
	Server  string // its URL, or that of the SRV record, with the address where a name has several
	Address string // IP address and port; "" where the name has none
	// How long the steps took that were done: connecting with TLS, binding as the service account, reading the base.
	Connected, Bound, Read time.Duration
	// TLS is the state of the encrypted connection; nil: there is none.
	TLS *tls.ConnectionState
	// Certificates are those that the server sent, its own first, even if they are not trusted.
	Certificates []*x509.Certificate
	// Err is why the first step failed that did, with a hint; nil: all is well. After it nothing else was tried.
	Err error
	// Failed is that step.
	Failed Step
}

// Step is one of the things that are done to look at a server.
type Step string

// The steps, in their order.
const (
	StepLookup  Step = "look up"
	StepConnect Step = "connect"
	StepBind    Step = "bind"
	StepRead    Step = "read the base"
)

// Peers looks at each address in turn, on new connections: it connects, binds as the service account and reads the bases.
// Each gets at most Config.Timeout. A service password that was refused is not tried at every server.
func (s *Set) Peers(ctx context.Context, bases ...string) []Peer {
	s.resolve(ctx)
	type one struct {
		srv  *server
		peer Peer
	}
	var all []one
	s.mu.Lock()
	for _, from := range s.sources {
		if len(from.servers) == 0 {
			err := from.err
			if err == nil {
				err = ctx.Err()
			}
			all = append(all, one{peer: Peer{Server: from.url.String(), Err: WithHint(err, connectHint(err)), Failed: StepLookup}})
		}
		for _, srv := range from.servers {
			all = append(all, one{srv: srv, peer: Peer{Server: srv.name, Address: srv.address}})
		}
	}
	s.mu.Unlock()
	peers := make([]Peer, 0, len(all))
	for _, o := range all {
		if o.srv != nil {
			o.srv.look(ctx, bases, &o.peer)
		}
		peers = append(peers, o.peer)
	}
	return peers
}

// look fills in what it finds.
func (s *server) look(ctx context.Context, bases []string, peer *Peer) {
	until := time.Now().Add(s.set.cfg.Timeout)
	began := time.Now()
	fail := func(step Step, err error, hint string) {
		peer.Failed, peer.Err = step, WithHint(err, hint)
	}
	c, err := s.dial(ctx, until)
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			peer.Certificates = untrusted.UnverifiedCertificates
		}
		fail(StepConnect, err, connectHint(err))
		return
	}
	defer c.close()
	peer.Connected = time.Since(began)
	if encrypted, ok := c.stream.(*tls.Conn); ok {
		state := encrypted.ConnectionState()
		peer.TLS, peer.Certificates = &state, state.PeerCertificates
	}
	began = time.Now()
	if err := s.set.service.bind(ctx, until, c); err != nil {
		fail(StepBind, err, "")
		return
	}
	peer.Bound = time.Since(began)
	began = time.Now()
	for _, base := range bases {
		if err := c.run(ctx, until, func() error { return c.readBase(base) }); err != nil {
			hint := searchHint(err, base)
			if hint == "" {
				hint = connectHint(err)
			}
			fail(StepRead, err, hint)
			return
		}
	}
	peer.Read = time.Since(began)
}
