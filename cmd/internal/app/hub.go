package app

import (
	"fmt"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/hub"
)

// relyingParties are the sites that may use the identity hosts as hubs.
func (a *App) relyingParties(hosts []config.Host) (hub.RelyingParties, error) {
	patterns := a.Config.Hub.RelyingParties
	if len(patterns) == 0 {
		patterns = a.ownSites(hosts)
	}
	parties, err := hub.NewRelyingParties(patterns)
	if err != nil {
		return hub.RelyingParties{}, fmt.Errorf("setting up the hub: %w", err)
	}
	return parties, nil
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
