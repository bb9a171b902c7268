package app

import (
	"fmt"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp"
	"persona-sidecar/idp/hub"
)

// makeHub says which sites may use the identity hosts as hubs; nil: none, the hub is off.
func (a *App) makeHub(hosts []config.Host, discovery hub.Discovery) (*idp.Hub, error) {
	if !a.Config.Hub.Enabled {
		return nil, nil
	}
	patterns := a.Config.Hub.RelyingParties
	if len(patterns) == 0 {
		patterns = a.ownSites(hosts)
	}
	parties, err := hub.NewRelyingParties(patterns)
	if err != nil {
		return nil, fmt.Errorf("setting up the hub: %w", err)
	}
	return &idp.Hub{RelyingParties: parties, Discovery: discovery}, nil
}

// ownSites are the patterns of the sites of our own hosts: on the default port, and as they are served.
func (a *App) ownSites(hosts []config.Host) []string {
	var names, origins []string
	for _, host := range hosts {
		names = append(names, host.Name)
		origins = append(origins, a.origin(host.Name))
	}
	return hub.DefaultRelyingParties(names, origins...)
}
