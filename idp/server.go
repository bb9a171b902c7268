package idp

import (
	"fmt"
	"net/http"

	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/web"

	"github.com/rs/zerolog"
)

// Server answers the identity paths of its hosts. It is safe for concurrent use.
type Server struct {
	config      Config
	log         zerolog.Logger
	web         *web.Web
	sites       map[string]*site // by host name
	crossOrigin *http.CrossOriginProtection
	people      *people
	signers     map[string]string // host by mail domain
	hub         *hub.Hub
	lookups     Counters
}

// site is one host with all that is worked out for it once.
type site struct {
	host     Host
	identity Identity // zero unless the role is Identity
	routes   map[string]route
	policies policies
	serves   []Host // as a hub: whose provisioning pages the dialog frames
}

// New makes a Server. An error lists every fault of the configuration.
func New(config Config) (*Server, error) {
	if config.RequestID == nil {
		config.RequestID = func(*http.Request) string { return "" }
	}
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configuring the identity provider: %w", err)
	}
	files, err := web.New()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:      config,
		log:         config.Log,
		web:         files,
		sites:       map[string]*site{},
		crossOrigin: http.NewCrossOriginProtection(),
		people:      newPeople(),
		signers:     signersOf(config.Hosts),
		lookups:     NewMemoryCounters(config.Now),
	}
	if config.Hub != nil {
		s.hub = hub.New(ownAuthorities(config.Hosts), config.Hub.Discovery)
	}
	for _, host := range config.Hosts {
		site, err := s.newSite(host)
		if err != nil {
			return nil, fmt.Errorf("configuring the host %s: %w", host.Name, err)
		}
		s.sites[host.Name] = site
	}
	return s, nil
}

func (s *Server) newSite(host Host) (*site, error) {
	identity, ok := host.Role.(Identity)
	if !ok {
		return &site{host: host, routes: s.documentRoutes(), policies: newPolicies(host.Origin, nil)}, nil
	}
	hubs := append([]string{host.hub()}, identity.Hubs...)
	routes, err := s.identityRoutes(identity, hubs)
	if err != nil {
		return nil, err
	}
	site := &site{host: host, identity: identity, routes: routes, policies: newPolicies(host.Origin, identity.Hubs)}
	return site, s.addHub(site)
}

// hub is the base URL of the host's own hub.
func (h Host) hub() string { return h.Origin + "/persona" }
