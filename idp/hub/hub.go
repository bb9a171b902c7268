package hub

import (
	"context"
	"io"
	"net/http"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
)

// Counters bound how many look-ups of other domains a client network may cause.
type Counters interface {
	// Count counts one event under key unless limit events lie within the window
	// that ends now; then it returns how long to wait.
	Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
}

// Config is what a Hub needs. All fields but Discovery are required.
type Config struct {
	Respond  *route.Responder
	Sessions *session.Manager
	// Hosts are all hosts that are answered for.
	Hosts []identity.Host
	// RelyingParties are the sites that may use the hub.
	RelyingParties RelyingParties
	// Discovery looks up the authorities of other domains; nil: they cannot be
	// looked up.
	Discovery Discovery
	Lookups   Counters
	Now       func() time.Time
	Rand      io.Reader
}

// Hub makes every identity host the hub of its site.
type Hub struct {
	Config
	authorities *Authorities
	naming      map[string][]*identity.Host // the identity hosts that name a hub, by its base URL
}

// New makes a Hub.
func New(c Config) *Hub {
	own := map[string]Authority{}
	naming := map[string][]*identity.Host{}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		for _, base := range host.Hubs {
			naming[base] = append(naming[base], host)
		}
		for _, domain := range host.Domains {
			own[domain] = Authority{
				Issuer: host.Name, Authentication: host.Origin + signin.PathAuthenticate, Provisioning: host.Origin + provision.PathProvision,
			}
		}
		if host.Role == identity.Disabled {
			own[host.Name] = Authority{Disabled: true}
		}
	}
	return &Hub{Config: c, authorities: NewAuthorities(own, c.Discovery), naming: naming}
}

// Routes returns the routes of an identity host; other hosts have none.
func (hub *Hub) Routes(h *identity.Host) ([]route.Route, error) {
	if h.Role != identity.Provider {
		return nil, nil
	}
	include, err := hub.Respond.Web.Script("include.js", []string{h.Hub()})
	if err != nil {
		return nil, err
	}
	on := func(handle func(http.ResponseWriter, *http.Request, *identity.Host) error) map[string]route.Handler {
		return route.Get(func(w http.ResponseWriter, r *http.Request) error { return handle(w, r, h) })
	}
	return []route.Route{
		{Path: "/persona/include.js", Class: route.Script, Methods: route.Get(route.Asset(include)), Keyless: true},
		{
			Path: "/persona/sign_in", Class: route.Dialog, Keyless: true,
			Sources: func() (framed []string) {
				for _, issuer := range hub.issuers(h) {
					framed = append(framed, issuer.Origin+provision.PathProvision)
				}
				return framed
			},
			// The dialog's modules do the work; the page tells nothing about the person.
			Methods: route.Get(func(w http.ResponseWriter, r *http.Request) error {
				dialog := dialogPage{Frame: route.NewFrame(h), Issuers: hub.issuers(h)}
				dialog.Website = false // a popup does not lead on to the website
				return hub.Respond.Render(w, r, http.StatusOK, "sign_in", dialog)
			}),
		},
		{
			Path: "/persona/communication_iframe", Class: route.SilentFrame, Sources: hub.RelyingParties.Sources, Keyless: true,
			Methods: on(hub.getSilentFrame),
		},
		{Path: "/persona/wsapi/address_info", Class: route.API, Methods: on(hub.getAddressInfo), Keyless: true},
		{Path: "/persona/wsapi/session_context", Class: route.API, Methods: on(hub.getSessionContext)},
		{Path: "/persona/wsapi/relying_party", Class: route.API, Methods: route.Get(hub.getRelyingParty), Keyless: true},
	}, nil
}

type dialogPage struct {
	route.Frame
	// Issuers are the identity hosts whose provisioning pages the dialog may
	// frame: its own, first, and those that name it as a hub.
	Issuers []issuer
}

// issuer is an identity host as the dialog knows it.
type issuer struct{ Name, Origin string }

// issuers lists the identity hosts that a host is the hub of, itself first.
func (hub *Hub) issuers(h *identity.Host) []issuer {
	issuers := []issuer{{h.Name, h.Origin}}
	for _, other := range hub.naming[h.Hub()] {
		if other.Name != h.Name {
			issuers = append(issuers, issuer{other.Name, other.Origin})
		}
	}
	return issuers
}

// getSilentFrame serves the frame by which include.js learns who is signed in.
func (hub *Hub) getSilentFrame(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	from := r.Header.Get("Sec-Fetch-Site")
	return hub.Respond.Render(w, r, http.StatusOK, "communication_iframe", struct {
		route.Frame
		Issuer string
		// SameSite: the page that frames this one is on our site, so that the
		// browser shows our cookies and storage here as they are.
		SameSite bool
	}{route.NewFrame(h), h.Name, from == "same-origin" || from == "same-site"})
}
