package idp

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
)

// namespace is what is ours on every host, besides the well-known paths that
// the envelopes name.
const namespace = "/persona"

// Server answers the identity paths of its hosts. It is safe for concurrent use.
type Server struct {
	config      Config
	sites       map[string]*site // by host name
	crossOrigin *http.CrossOriginProtection
}

// site is one host with its routes. There is no mux: it would clean paths and
// redirect, and a path that is spelled in any other way than its route's is
// not found.
type site struct {
	host    *identity.Host
	routes  map[string]entry
	headers map[route.Class]http.Header // of routes without Sources
}

// entry is a route with its headers, which are nil where they depend on Sources.
type entry struct {
	route.Route
	header http.Header
}

// New makes a Server of the routes of all envelopes. An error lists every fault
// of the configuration.
func New(config Config, envelopes ...Envelope) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configuring the identity provider: %w", err)
	}
	if config.BodyTime == 0 {
		config.BodyTime = route.BodyTime
	}
	s := &Server{config: config, sites: map[string]*site{}, crossOrigin: http.NewCrossOriginProtection()}
	for i := range config.Hosts {
		host := &config.Hosts[i]
		site, err := s.newSite(host, envelopes)
		if err != nil {
			return nil, fmt.Errorf("configuring the host %s: %w", host.Name, err)
		}
		s.sites[host.Name] = site
	}
	return s, nil
}

func (s *Server) newSite(h *identity.Host, envelopes []Envelope) (*site, error) {
	to := &site{host: h, routes: map[string]entry{}, headers: map[route.Class]http.Header{}}
	for _, class := range []route.Class{route.Page, route.API} { // also of paths without a route
		to.headers[class] = route.Headers(h, class, nil)
	}
	if h.Role == identity.Provider {
		for where, asset := range s.config.Respond.Web.Static() {
			if err := to.add(route.Route{Path: where, Class: route.Static, Methods: route.Get(route.Asset(asset)), Keyless: true}); err != nil {
				return nil, err
			}
		}
	}
	for _, envelope := range envelopes {
		routes, err := envelope.Routes(h)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if err := to.add(r); err != nil {
				return nil, err
			}
		}
	}
	return to, nil
}

// add refuses a path that the website may need, or that has a route already.
func (s *site) add(r route.Route) error {
	if !inNamespace(r.Path) && !strings.HasPrefix(r.Path, "/.well-known/") {
		return fmt.Errorf("the route %s is neither below %s nor well-known", r.Path, namespace)
	}
	if _, taken := s.routes[r.Path]; taken {
		return fmt.Errorf("two envelopes have a route %s", r.Path)
	}
	if r.Sources == nil && s.headers[r.Class] == nil {
		s.headers[r.Class] = route.Headers(s.host, r.Class, nil)
	}
	s.routes[r.Path] = entry{r, s.headers[r.Class]}
	return nil
}

func inNamespace(p string) bool {
	rest, ok := strings.CutPrefix(p, namespace)
	return ok && (rest == "" || rest[0] == '/')
}

// owns reports whether a decoded path belongs to the identity provider.
func (s *site) owns(p string) bool {
	_, ok := s.routes[p]
	return ok || inNamespace(p)
}

// Match reports whether a request is ours to answer: its host is one of ours and
// its path, decoded once, is one of ours as it stands or once cleaned. The
// website never sees such a path, however it is spelled.
func (s *Server) Match(r *http.Request) bool {
	site, ok := s.sites[s.config.HostName(r)]
	return ok && (site.owns(r.URL.Path) || site.owns(path.Clean(r.URL.Path)))
}

// ServeHTTP answers a request that Match accepts; any other is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	site, ok := s.sites[s.config.HostName(r)]
	if !ok {
		http.NotFound(w, r) // the caller did not ask Match
		return
	}
	route.LimitBody(w, r, s.config.BodyTime)
	// The escaped path is the path as it was sent: another spelling of a
	// path of the table is not in the table.
	entry, ok := site.routes[r.URL.EscapedPath()]
	if !ok {
		// Programs ask below these, and for the well-known paths.
		entry.Class = route.Page
		_, named := site.routes[r.URL.Path]
		if strings.HasPrefix(r.URL.Path, "/persona/api/") || strings.HasPrefix(r.URL.Path, "/persona/wsapi/") || named && !inNamespace(r.URL.Path) {
			entry.Class = route.API
		}
		entry.header = site.headers[entry.Class]
	}
	if entry.Sources != nil {
		entry.header = route.Headers(site.host, entry.Class, entry.Sources())
	}
	for name, values := range entry.header {
		w.Header()[name] = values[:1:1]
	}
	if err := s.serve(w, r, site.host, &entry.Route); err != nil {
		s.config.Respond.Fail(w, r, site.host, entry.Class, err)
	}
}

// mostCookies bounds a Cookie header in bytes. Ours are below one thousand; the
// rest is the website's, or set by a sibling of the host to lock people out.
const mostCookies = 16 << 10

func (s *Server) serve(w http.ResponseWriter, r *http.Request, h *identity.Host, to *route.Route) error {
	if to.Class == route.ForwardAuth { // the fields below are of a request for a website, and that one's affair
		if err := s.config.KeysReady(h.Name); err != nil {
			return err
		}
		return to.Methods[""](w, r)
	}
	cookies := 0
	for _, line := range r.Header["Cookie"] {
		cookies += len(line)
	}
	// What a website at a host of its own keeps in the browser is between the two.
	if cookies > mostCookies && h.Role == identity.Provider {
		w.Header().Set("Clear-Site-Data", `"cookies"`)
		return &route.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "too_many_cookies", Link: "/persona/"}
	}
	if to.Methods == nil {
		return route.NotFound(h)
	}
	// A service worker from here would control the website's pages, too.
	if r.Header.Get("Service-Worker") != "" {
		return &route.Error{Status: http.StatusForbidden, Code: "no_service_worker"}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := to.Methods[method]
	if !ok {
		names := slices.Sorted(maps.Keys(to.Methods))
		if _, ok := to.Methods[http.MethodGet]; ok {
			names = slices.Insert(names, 1, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(names, ", "))
		refused := &route.Error{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Link: "/persona/",
			Args: map[string]string{"method": printable.Text(r.Method, 16)},
		}
		if h.Role != identity.Provider {
			refused.Detail, refused.Link = "site", "/"
		}
		return refused
	}
	if err := s.crossOrigin.Check(r); err != nil && !to.Class.FromAnywhere() {
		refused := &route.Error{Status: http.StatusForbidden, Code: "cross_origin", Link: "/persona/authenticate", Cause: err}
		if h.Role != identity.Provider {
			refused.Detail, refused.Link = "site", "/"
		}
		return refused
	}
	if !to.Keyless {
		if err := s.config.KeysReady(h.Name); err != nil {
			return err
		}
	}
	return handle(w, r)
}
