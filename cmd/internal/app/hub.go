package app

import (
	"fmt"

	"persona-sidecar/idp/hub"
)

// relyingParties are the sites that may use the identity hosts as hubs.
func (g *generation) relyingParties() (hub.RelyingParties, error) {
	patterns := g.config.Hub.RelyingParties
	if len(patterns) == 0 {
		patterns = g.ownSites()
	}
	parties, err := hub.NewRelyingParties(patterns)
	if err != nil {
		return hub.RelyingParties{}, fmt.Errorf("setting up the hub: %w", err)
	}
	return parties, nil
}

// ownSites are the patterns of the sites of our own hosts: on the default port, and as they are served.
func (g *generation) ownSites() []string {
	var names, origins []string
	for _, host := range g.hosts {
		names = append(names, host.Name)
		origins = append(origins, g.origin(host.Name))
	}
	return hub.DefaultRelyingParties(names, origins...)
}
