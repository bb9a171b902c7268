package idp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/idp"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
)

// greeting is all that a new envelope is: its routes.
type greeting struct{ paths []string }

func (g greeting) Routes(h *identity.Host) ([]route.Route, error) {
	if h.Role != identity.Provider {
		return nil, nil
	}
	var routes []route.Route
	for _, path := range g.paths {
		routes = append(routes, route.Route{Path: path, Class: route.API, Methods: route.Get(func(w http.ResponseWriter, _ *http.Request) error {
			route.JSON(w, http.StatusOK, map[string]string{"hello": h.Name})
			return nil
		})})
	}
	return routes, nil
}

// TestEnvelope: what an envelope names is intercepted and answered with the
// headers of its class, on the hosts that it chooses.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	const wellKnown = "/.well-known/greeting"
	w := newWorld(t, func(c *settings) { c.More = []idp.Envelope{greeting{[]string{wellKnown, "/persona/greeting"}}} })
	b := w.browser()
	for _, path := range []string{wellKnown, "/persona/greeting"} {
		response := b.get(path)
		wantStatus(t, response, http.StatusOK)
		if got := decode[map[string]string](t, response)["hello"]; got != host {
			t.Errorf("%s greets %q", path, got)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s has the Cache-Control %q", path, got)
		}
		wantStatus(t, b.send(http.MethodPut, path, "", ""), http.StatusMethodNotAllowed)
	}
	wantPage(t, b.get("/.well-known//greeting"), http.StatusNotFound, "nothing at this address")
	wantError(t, b.get("/.well-known/%67reeting"), http.StatusNotFound, "not_found")
	for where, match := range map[string]bool{
		host + wellKnown: true, otherHost + wellKnown: true, "delegating.test" + wellKnown: false, "plain.test" + wellKnown: false,
		host + "/.well-known/other": false, host + "/personal": false, "delegating.test/persona/greeting": true,
	} {
		if got := w.server.Match(httptest.NewRequest(http.MethodGet, "https://"+where, nil)); got != match {
			t.Errorf("%s is matched: %t", where, got)
		}
	}
}

func TestEnvelopeFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path, words string
	}{
		"taken":            {"/persona/authenticate", "two envelopes have a route /persona/authenticate"},
		"of the website":   {"/about", "neither below /persona nor well-known"},
		"beside namespace": {"/personal", "neither below /persona nor well-known"},
	} {
		config := settings{}
		newWorld(t, func(c *settings) { config = *c })
		config.More = []idp.Envelope{greeting{[]string{test.path}}}
		if _, _, err := config.build(); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.words)
		}
	}
}
