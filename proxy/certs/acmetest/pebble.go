package acmetest

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"go.uber.org/goleak"
)

// Options say where Pebble finds the program under test.
type Options struct {
	HTTPPort int // where it checks HTTP-01, on 127.0.0.1; 0: nothing answers there
	TLSPort  int // where it checks TLS-ALPN-01, on 127.0.0.1; 0: nothing answers there

	// Validity is the lifetime of the certificates, in whole seconds; 0: 90
	// days. certmagic renews a certificate at once that has less left than five
	// of its renewal checks.
	Validity time.Duration

	// EABKeyID and EABMACKey (base64url without padding) are the one external
	// account that accounts must be bound to; empty: none is asked for.
	EABKeyID, EABMACKey string
}

// Server is a running ACME server.
type Server struct {
	server *httptest.Server
	gate   *gate
	db     *db.MemoryStore
	roots  *x509.CertPool
	issuer *x509.CertPool
	orders atomic.Int64
	asked  atomic.Int64
	answer atomic.Int64 // the status that every order is answered with; 0: as Pebble does
}

// Start starts an ACME server that is stopped when the test ends. Whatever name
// it has to check, it connects to 127.0.0.1.
//
// Pebble takes some settings only from the process's environment, when it
// starts. Start sets them for the whole process and leaves them set, each time
// to the same values, so tests that use it may run in parallel:
// PEBBLE_VA_NOSLEEP=1 (check challenges at once), PEBBLE_WFE_NONCEREJECT=0
// (refuse no good nonces), PEBBLE_AUTHZREUSE=0 (check each order anew).
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a certificate authority")
	}
	for name, value := range map[string]string{
		"PEBBLE_VA_NOSLEEP":      "1",
		"PEBBLE_WFE_NONCEREJECT": "0",
		"PEBBLE_AUTHZREUSE":      "0",
	} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatalf("setting up Pebble: %v", err)
		}
	}
	resolver := startDNS(t)
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(o.Validity / time.Second)}}
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, profiles)
	validator := va.New(quiet, o.HTTPPort, o.TLSPort, false, resolver, store)
	if o.EABKeyID != "" {
		if err := store.AddExternalAccountKeyByID(o.EABKeyID, o.EABMACKey); err != nil {
			t.Fatalf("setting up Pebble: %v", err)
		}
	}
	frontEnd := wfe.New(quiet, store, validator, authority, []string{"acme.test"}, false, o.EABKeyID != "", 0, 0)

	s := &Server{db: store, roots: x509.NewCertPool(), issuer: x509.NewCertPool()}
	s.server = httptest.NewUnstartedServer(s.counting(frontEnd.Handler()))
	s.server.Config.ErrorLog = quiet
	s.gate = &gate{Listener: s.server.Listener}
	s.server.Listener = s.gate
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.roots.AddCert(s.server.Certificate())
	s.issuer.AddCert(authority.GetRootCert(0).Cert)
	return s
}

// Directory is the URL of the directory.
func (s *Server) Directory() string { return s.server.URL + wfe.DirectoryPath }

// Roots are to be trusted when talking to Directory.
func (s *Server) Roots() *x509.CertPool { return s.roots }

// IssuerRoots are to be trusted to verify the certificates it issued.
func (s *Server) IssuerRoots() *x509.CertPool { return s.issuer }

// Orders is the number of orders that were accepted so far.
func (s *Server) Orders() int { return int(s.orders.Load()) }

// Asked is the number of orders that were asked for so far, accepted or not.
func (s *Server) Asked() int { return int(s.asked.Load()) }

// AnswerOrders makes the server answer every order with an error of its own: 429
// for a rate limit, or one from 500 on. 0 ends that.
func (s *Server) AnswerOrders(status int) { s.answer.Store(int64(status)) }

// Refused is the number of connections that were refused while it was down.
func (s *Server) Refused() int { return int(s.gate.refused.Load()) }

// Down makes the server unreachable: each connection, open or new, is closed.
// The port stays taken, so that Up finds it.
func (s *Server) Down() {
	s.gate.down.Store(true)
	s.server.CloseClientConnections()
}

// Up ends what Down began.
func (s *Server) Up() { s.gate.down.Store(false) }

// Refuse makes the server refuse orders for name with the problem
// rejectedIdentifier.
func (s *Server) Refuse(t testing.TB, name string) {
	t.Helper()
	if err := s.db.AddBlockedDomain(name); err != nil {
		t.Fatalf("blocking %s: %v", name, err)
	}
}

// LeakOptions tell goleak which goroutines outlive a test by the design of
// others: Pebble's validator, the rate limiter that certmagic keeps for each
// ACME server, and the keeper of a file lock, which sees that the lock was
// released up to 5 s later.
func LeakOptions() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	}
}

// counting counts the orders, and those that next has accepted.
func (s *Server) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") {
			next.ServeHTTP(w, r)
			return
		}
		s.asked.Add(1)
		if status := int(s.answer.Load()); status != 0 {
			refuse(w, status)
			return
		}
		recorded := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(recorded, r)
		if recorded.status == http.StatusCreated {
			s.orders.Add(1)
		}
	})
}

// refuse writes a problem document (RFC 8555 section 6.7).
func refuse(w http.ResponseWriter, status int) {
	kind := "serverInternal"
	if status == http.StatusTooManyRequests {
		kind = "rateLimited"
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":"as the test wants it","status":%d}`, kind, status)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
