package provision

import (
	"crypto"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

const (
	// PathDocument is where the support document is (BrowserID, "IdP support document").
	PathDocument = "/.well-known/browserid"
	// PathProvision is where the provisioning page is.
	PathProvision = "/persona/provision"
)

// Keys hands out the domain keys. Errors wrap keys.ErrNotReady.
type Keys interface {
	// Signer returns the current key of host for a use, and its id.
	Signer(host string, use keys.Use) (kid string, s crypto.Signer, err error)
	// Published returns the public keys of host for a use, the current one first.
	Published(host string, use keys.Use) ([]keys.Public, error)
	// Holds returns the host that has, or had, an RSA key with a modulus.
	Holds(modulus *big.Int) (host string, ok bool)
}

// Events receives what is counted. Implementations are safe for concurrent use
// and do not block.
type Events interface {
	// Certificate: one was asked for. The host is the name of an identity host,
	// the result is issued, or the code that the browser was answered.
	Certificate(host, result string)
}

// Config is what the envelope needs. All fields but LegacyClientKeys and Events
// are required.
type Config struct {
	Respond  *route.Responder
	Sessions *session.Manager
	Keys     Keys
	// Hosts are all hosts that are answered for.
	Hosts []identity.Host
	// LegacyClientKeys certifies the keys of historic browsers, too: DSA, and
	// RSA of 1024 or 1023 bit.
	LegacyClientKeys bool
	Now              func() time.Time
	Rand             io.Reader
	Events           Events
}

// Envelope publishes the documents of all hosts and certifies for identity
// hosts.
type Envelope struct {
	Config
	issuers sync.Map                  // *browserid.Issuer by the id of its key
	hosts   map[string]*identity.Host // by name
	signers map[string]string         // the first host that signs for a mail domain
}

// New makes the envelope.
func New(c Config) *Envelope {
	e := &Envelope{Config: c, hosts: map[string]*identity.Host{}, signers: map[string]string{}}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		e.hosts[host.Name] = host
		for _, domain := range host.Domains {
			if _, taken := e.signers[domain]; !taken {
				e.signers[domain] = host.Name
			}
		}
	}
	return e
}

// Routes returns the document of every host that publishes one, and the rest for identity
// hosts.
func (e *Envelope) Routes(h *identity.Host) ([]route.Route, error) {
	if h.Role == identity.Site {
		return nil, nil
	}
	document := route.Route{
		Path: PathDocument, Class: route.Document, Keyless: h.Role != identity.Provider,
		Methods: route.Get(func(w http.ResponseWriter, r *http.Request) error { return e.getDocument(w, r, h) }),
	}
	if h.Role != identity.Provider {
		return []route.Route{document}, nil
	}
	return []route.Route{
		document,
		{
			Path: PathProvision, Class: route.FramedPage, Sources: h.HubOrigins,
			// The page tells nothing about the person: its module asks.
			Methods: route.Get(func(w http.ResponseWriter, r *http.Request) error {
				return e.Respond.Render(w, r, http.StatusOK, "provision", route.NewFrame(h))
			}),
		},
		{
			Path: "/persona/api/certificate", Class: route.API,
			Methods: route.Post(func(w http.ResponseWriter, r *http.Request) error {
				err := e.certify(w, r, h)
				if e.Events != nil {
					e.Events.Certificate(h.Name, route.Code(err, "issued"))
				}
				return err
			}),
		},
		{Path: "/persona/provisioning_api.js", Class: route.Script, Methods: route.Get(e.Respond.Script("provisioning_api.js", h)), Keyless: true},
	}, nil
}
