package idp

import (
	"fmt"
	"net/http"

	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/identity"
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
	host     identity.Host
	routes   map[string]route
	policies policies
	serves   []identity.Host // as a hub: whose provisioning pages the dialog frames
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

func (s *Server) newSite(host identity.Host) (*site, error) {
	if host.Role != identity.Provider {
		return &site{host: host, routes: s.documentRoutes(), policies: newPolicies(host.Origin, nil)}, nil
	}
	hubs := append([]string{host.Hub()}, host.Hubs...)
	routes, err := s.identityRoutes(hubs)
	if err != nil {
		return nil, err
	}
	site := &site{host: host, routes: routes, policies: newPolicies(host.Origin, host.Hubs)}
	return site, s.addHub(site)
}
