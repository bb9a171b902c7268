package idp

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
)

// Config is what a Server needs. All fields but BodyTime are required.
type Config struct {
	// Hosts are the hosts that are answered for.
	Hosts   []identity.Host
	Respond *route.Responder
	// KeysReady returns why the keys of a host are not ready, or nil. Until
	// they are, the routes that are not Keyless answer 503.
	KeysReady func(host string) error
	// HostName returns the canonical host of a request: lower case, A-labels,
	// without port and final dot; "" when it is not a host name.
	HostName func(*http.Request) string
	// BodyTime is how long the whole body of a request may take; 0 is
	// route.BodyTime.
	BodyTime time.Duration
}

// Envelope is one way in which the fact "this session owns this address" leaves
// the program, with the routes that it needs.
type Envelope interface {
	// Routes returns the envelope's routes on a host; none where the host's role
	// has nothing to do with it. It is called once for each host.
	Routes(h *identity.Host) ([]route.Route, error)
}

// validate reports every fault of c at once.
func (c *Config) validate() error {
	var faults []error
	missing := func(name string, is bool) {
		if is {
			faults = append(faults, fmt.Errorf("%s is missing", name))
		}
	}
	missing("Respond", c.Respond == nil)
	missing("Respond.Web", c.Respond != nil && c.Respond.Web == nil)
	missing("Respond.ClientAddr", c.Respond != nil && c.Respond.ClientAddr == nil)
	missing("Respond.RequestID", c.Respond != nil && c.Respond.RequestID == nil)
	missing("KeysReady", c.KeysReady == nil)
	missing("HostName", c.HostName == nil)
	seen, hubs := map[string]bool{}, map[string]bool{}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		if seen[host.Name] {
			faults = append(faults, fmt.Errorf("host %s is listed twice", host.Name))
		}
		seen[host.Name] = true
		if err := host.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("host %q: %w", host.Name, err))
		}
		for _, hub := range host.Hubs {
			if hubs[hub] {
				continue
			}
			hubs[hub] = true
			if _, err := identity.HubOrigin(hub); err != nil {
				faults = append(faults, fmt.Errorf("host %q: %w", host.Name, err))
			}
		}
	}
	return errors.Join(faults...)
}
