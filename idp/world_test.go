package idp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/idp/web"

	"github.com/rs/zerolog"
)

const (
	host      = "example.test"
	otherHost = "second.test"
	// sisterHost is on the site of host; no world has it by itself.
	sisterHost = "id.example.test"
	password   = "correct horse"
)

// ringStore holds the keys of the hosts, made once for all tests.
var ringStore = sync.OnceValue(func() *idptest.Store {
	store := idptest.NewStore(time.Now)
	ring := keys.New(keys.Config{Store: store, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	err := ring.Ensure(context.Background(),
		keys.Want{Host: host, Use: keys.UseCertificates}, keys.Want{Host: otherHost, Use: keys.UseCertificates},
		keys.Want{Host: host, Use: keys.UseAssertions}, keys.Want{Host: sisterHost, Use: keys.UseCertificates}, keys.Want{Use: keys.UseSession})
	if err != nil {
		panic(err)
	}
	return store
})

// browserKey is a browser's key pair.
var browserKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// world is a server with everything around it.
type world struct {
	t         testing.TB
	clock     *idptest.Clock
	directory *idptest.Directory
	sessions  *idptest.Store
	ring      *keys.Ring
	server    *idp.Server
	documents *provision.Envelope
	gate      *gate.Gate
	logged    *logged
	client    netip.Addr
}

// settings are what a world's server is built from.
type settings struct {
	Hosts    []identity.Host
	Keys     provision.Keys
	Sessions *session.Manager
	Throttle *signin.Throttle
	Sealer   session.Sealer
	// Hub and Verifier are nil where they are off.
	Hub              *hub.Config // RelyingParties and Discovery
	Verifier         *verifier.API
	More             []idp.Envelope
	Sites            []gate.Site // whose websites are told who is signed in
	Gate             *gate.Gate  // theirs, once it is built
	LegacyClientKeys bool
	ClientAddr       func(*http.Request) netip.Addr
	BodyTime         time.Duration
	Now              func() time.Time
	Log              zerolog.Logger
	Events           *recorder
}

// build wires the packages together as the program does.
func (c *settings) build() (*idp.Server, *provision.Envelope, error) {
	files, err := web.New(nil)
	if err != nil {
		return nil, nil, err
	}
	respond := &route.Responder{
		Web: files, Log: c.Log, ClientAddr: c.ClientAddr, RequestID: func(*http.Request) string { return "request-1" },
	}
	pages := signin.Config{Respond: respond, Sessions: c.Sessions, Throttle: c.Throttle}
	certificates := provision.Config{
		Respond: respond, Sessions: c.Sessions, Keys: c.Keys, Hosts: c.Hosts, LegacyClientKeys: c.LegacyClientKeys, Now: c.Now, Rand: rand.Reader,
	}
	if c.Events != nil {
		pages.Events, certificates.Events = c.Events, c.Events
	}
	documents := provision.New(certificates)
	envelopes := []idp.Envelope{signin.New(pages), documents}
	if c.Hub != nil {
		h := *c.Hub
		h.Respond, h.Sessions, h.Hosts, h.Lookups, h.Now, h.Rand = respond, c.Sessions, c.Hosts, memory.New(memory.Config{Now: c.Now}), c.Now, rand.Reader
		envelopes = append(envelopes, hub.New(h))
	}
	if c.Verifier != nil {
		envelopes = append(envelopes, c.Verifier)
	}
	if len(c.Sites) > 0 {
		g, err := gate.New(gate.Config{
			Sites: c.Sites, Respond: respond, Sessions: c.Sessions, Assertions: assertion.New(assertion.Config{Keys: c.Keys, Now: c.Now}),
			Sealer: c.Sealer, Path: func(r *http.Request) string { return r.URL.EscapedPath() }, Now: c.Now, Rand: rand.Reader, Log: c.Log,
		})
		if err != nil {
			return nil, nil, err
		}
		c.Gate, pages.SignedOut = g, g.ExpireCookies
		envelopes[0] = signin.New(pages)
		envelopes = append(envelopes, g)
	}
	envelopes = append(envelopes, c.More...)
	server, err := idp.New(idp.Config{
		Hosts: c.Hosts, Respond: respond, BodyTime: c.BodyTime,
		KeysReady: func(host string) error {
			for _, site := range c.Sites {
				if site.Host == host {
					host = site.Authority.Name
				}
			}
			_, err := c.Keys.Published(host, keys.UseCertificates)
			return err
		},
		HostName: func(r *http.Request) string { return strings.TrimSuffix(strings.ToLower(r.Host), ":8443") },
	}, envelopes...)
	return server, documents, err
}

type change func(*settings)

func alice() idptest.Account {
	return idptest.Account{
		Person: identity.Person{
			ID: "alice-id", Login: "alice", Name: "Alice <Example>",
			Addresses: idptest.Addresses("alice@example.test", "a.liddell@example.test"),
		},
		Password: password,
	}
}

func bob() idptest.Account {
	return idptest.Account{Person: identity.Person{ID: "bob-id", Login: "bob", Addresses: idptest.Addresses("bob@example.test")}, Password: "bob's"}
}

// newWorld makes a world of two identity hosts, a delegating and a disabled one.
func newWorld(t testing.TB, changes ...change) *world {
	t.Helper()
	w := &world{
		t:         t,
		clock:     idptest.NewClock(time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)),
		directory: idptest.NewDirectory("corp", alice(), bob()),
		logged:    &logged{},
		client:    netip.MustParseAddr("192.0.2.7"),
	}
	w.sessions = idptest.NewStore(w.clock.Now)
	log := zerolog.New(w.logged)
	w.ring = keys.New(keys.Config{Store: ringStore(), Now: w.clock.Now, Rand: rand.Reader, Log: log})
	if err := w.ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	throttle := signin.NewThrottle(signin.ThrottleConfig{Failures: 4, Window: 10 * time.Minute, Log: log, Accounts: memory.New(memory.Config{Now: w.clock.Now}), Counters: memory.New(memory.Config{Now: w.clock.Now})})
	provider := identity.Host{
		Role: identity.Provider, Directory: w.directory, DirectoryName: "corp", Domains: []string{"example.test", "sister.test"},
		Hubs: []string{"https://hub.example.test/persona"}, CertificateLifetime: time.Hour, Website: true,
	}
	config := settings{
		Hosts: []identity.Host{
			named(provider, host),
			named(provider, otherHost),
			{Name: "delegating.test", Origin: "https://delegating.test", Role: identity.Delegating, Authority: host},
			{Name: "disabled.test", Origin: "https://disabled.test", Role: identity.Disabled},
		},
		Keys:       w.ring,
		Throttle:   throttle,
		Sealer:     sealer{w.ring},
		ClientAddr: func(*http.Request) netip.Addr { return w.client },
		Now:        w.clock.Now, Log: log,
	}
	ended := func(r *http.Request, h *identity.Host, personID, reason string) {
		(&route.Responder{Log: config.Log, ClientAddr: config.ClientAddr, RequestID: func(*http.Request) string { return "request-1" }}).
			SessionEnded(r, h, personID, reason)
		if config.Events != nil {
			config.Events.SessionEnded(h.Name, reason)
		}
	}
	config.Sessions = session.New(session.Config{
		Sealer: config.Sealer, SignOuts: session.NewSignOuts(w.sessions, w.clock.Now), Codes: memory.New(memory.Config{Now: w.clock.Now}), Now: w.clock.Now, Rand: rand.Reader, Log: log, Ended: ended,
	})
	for _, change := range changes {
		change(&config)
	}
	server, documents, err := config.build()
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.documents, w.gate = server, documents, config.Gate
	return w
}

// named is a host under another name.
func named(host identity.Host, name string) identity.Host {
	host.Name, host.Origin = name, "https://"+name
	return host
}

// sealer joins the key ring to the sessions.
type sealer struct{ ring *keys.Ring }

func (s sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}

// published returns the domain keys of a host.
func (w *world) published(host string) []*browserid.PublicKey {
	w.t.Helper()
	all, err := w.ring.Published(host, keys.UseCertificates)
	if err != nil {
		w.t.Fatal(err)
	}
	published := make([]*browserid.PublicKey, len(all))
	for i, key := range all {
		if published[i], err = browserid.NewPublicKey(key.Key); err != nil {
			w.t.Fatal(err)
		}
	}
	return published
}

// logged is what was logged. Requests that are served at the same time share it.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
