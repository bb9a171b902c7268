package app

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/proxy/middleware"
)

// phase is where the program is in its life.
type phase string

const (
	starting phase = "starting"
	running  phase = "ready"
	stopping phase = "stopping"
)

// health is what the admin listener reports: whether the program serves, and which of the parts it
// depends on do not work. Only the phase decides the status of /readyz: a dead directory must not take
// the website out of a load balancer.
type health struct {
	now func() time.Time

	mu    sync.Mutex
	phase phase
	parts map[string]part
}

// part is the state of one thing that the program depends on.
type part struct {
	State string    `json:"state"` // ok or degraded
	Since time.Time `json:"since"`
	// Cause is for the operator; the admin listener is not public.
	Cause string `json:"cause,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

const (
	partOK       = "ok"
	partDegraded = "degraded"
)

func (h *health) enter(p phase) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = p
}

// report notes the state of a part, such as "directory corp", and reports whether it changed.
func (h *health) report(name string, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := part{State: partOK, Since: h.now()}
	if err != nil {
		now.State, now.Cause, now.Hint = partDegraded, err.Error(), identity.Hint(err)
	}
	before, known := h.parts[name]
	if known && before.State == now.State {
		now.Since = before.Since
	}
	h.parts[name] = now
	return !known || before.State != now.State
}

// keep forgets the parts whose names begin with a kind, except those in the set.
func (h *health) keep(kind string, set map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.parts {
		if strings.HasPrefix(name, kind) && !set[name] {
			delete(h.parts, name)
		}
	}
}

// readiness is the JSON of /readyz.
type readiness struct {
	Status   phase           `json:"status"`
	Degraded []string        `json:"degraded"`
	Parts    map[string]part `json:"parts"`
}

func (h *health) readiness() readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := readiness{Status: h.phase, Degraded: []string{}, Parts: map[string]part{}}
	for name, p := range h.parts {
		r.Parts[name] = p
		if p.State != partOK {
			r.Degraded = append(r.Degraded, name)
		}
	}
	slices.Sort(r.Degraded)
	return r
}

// admin serves the admin listener: /livez says that the process runs, /readyz whether it takes
// requests, /metrics how much of everything. name is the host of listen.admin, refresh brings parts up
// to date that are cheap to look at.
func (h *health) admin(name string, refresh func(), metrics http.Handler) http.Handler {
	name = middleware.CanonicalHost(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if host := middleware.CanonicalHost(r.Host); r.Host != "" && !local(host) && host != name {
			http.Error(w, "ask for this listener by an IP address, as localhost, or as listen.admin names it", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		switch strings.TrimSuffix(r.URL.Path, "/") {
		case "/livez":
			_, _ = w.Write([]byte("ok\n"))
		case "/readyz":
			refresh()
			r := h.readiness()
			body, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				http.Error(w, "the state cannot be written as JSON", http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			if r.Status != running {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = w.Write(append(body, '\n'))
		case "/metrics":
			metrics.ServeHTTP(w, r)
		default:
			http.Error(w, "no such page: try /livez, /readyz or /metrics", http.StatusNotFound)
		}
	})
}

// local reports whether a canonical host is none that a stranger can lead here by DNS: an IP address (as
// probes use), localhost, or a name of one label (as container engines give).
func local(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.Contains(strings.TrimSuffix(host, ".localhost"), ".")
}
