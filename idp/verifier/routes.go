package verifier

import (
	"net/http"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
)

// Routes returns the two versions of the historic service on an identity host;
// other hosts have none. They work without the host's keys: other domains have
// their own.
func (a *API) Routes(h *identity.Host) ([]route.Route, error) {
	if h.Role != identity.Provider {
		return nil, nil
	}
	version := func(path string, serve http.HandlerFunc) route.Route {
		return route.Route{Path: path, Class: route.Verification, Keyless: true, Methods: route.Post(
			func(w http.ResponseWriter, r *http.Request) error {
				serve(w, r)
				return nil
			})}
	}
	return []route.Route{version("/persona/verify", a.ServeV1), version("/persona/v2", a.ServeV2)}, nil
}
