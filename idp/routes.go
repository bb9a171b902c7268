package idp

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/web"
)

const (
	pathDocument     = "/.well-known/browserid"
	pathHome         = "/persona/"
	pathAuthenticate = "/persona/authenticate"
	pathProvision    = "/persona/provision"
	pathLogout       = "/persona/logout"
	pathSession      = "/persona/api/session"
	pathCertificate  = "/persona/api/certificate"

	scriptProvisioning   = "provisioning_api.js"
	scriptAuthentication = "authentication_api.js"
)

// handler answers a request on a site. It writes a complete answer or returns
// an error, never both.
type handler func(http.ResponseWriter, *http.Request, *site) error

// route is one exactly spelled path.
type route struct {
	class   class
	methods map[string]handler // GET stands for HEAD, too
	keyless bool               // works without the host's keys
}

func get(h handler) map[string]handler  { return map[string]handler{http.MethodGet: h} }
func post(h handler) map[string]handler { return map[string]handler{http.MethodPost: h} }

// documentRoutes is all that a delegating or disabled host answers.
func (s *Server) documentRoutes() map[string]route {
	return map[string]route{
		pathDocument: {class: document, methods: get(s.getDocument), keyless: true},
	}
}

// identityRoutes is the whole table of an identity host. There is no mux: it
// would clean paths and redirect, and a path that is spelled in any other way
// than here is not found.
func (s *Server) identityRoutes(hubs []string) (map[string]route, error) {
	routes := map[string]route{
		pathDocument:    {class: document, methods: get(s.getDocument)},
		"/persona":      {class: page, methods: get(s.getHome)},
		pathHome:        {class: page, methods: get(s.getHome)},
		pathLogout:      {class: page, methods: post(s.postLogout)},
		pathProvision:   {class: framedPage, methods: get(s.getProvision)},
		pathSession:     {class: api, methods: get(s.getSession)},
		pathCertificate: {class: api, methods: post(s.postCertificate)},
		pathAuthenticate: {class: page, methods: map[string]handler{
			http.MethodGet:  s.getAuthenticate,
			http.MethodPost: s.postAuthenticate,
		}},
	}
	s.addVerifier(routes)
	for _, name := range []string{scriptProvisioning, scriptAuthentication} {
		asset, err := s.web.Script(name, hubs)
		if err != nil {
			return nil, err
		}
		routes["/persona/"+name] = route{class: script, methods: get(serveAsset(asset)), keyless: true}
	}
	for where, asset := range s.web.Static() {
		routes[where] = route{class: static, methods: get(serveAsset(asset)), keyless: true}
	}
	return routes, nil
}

// ours says whether a decoded path belongs to the identity provider.
func ours(p string) bool {
	return p == pathDocument || p == "/persona" || strings.HasPrefix(p, "/persona/")
}

// Match says whether a request is ours to answer: its host is one of ours and
// its path, decoded once, is one of ours as it stands or once cleaned. The
// website never sees such a path, however it is spelled.
func (s *Server) Match(r *http.Request) bool {
	if !ours(r.URL.Path) && !ours(path.Clean(r.URL.Path)) {
		return false
	}
	_, ok := s.sites[s.config.HostName(r)]
	return ok
}

// ServeHTTP answers a request that Match accepts; any other is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	site, ok := s.sites[s.config.HostName(r)]
	if !ok {
		http.NotFound(w, r) // the caller did not ask Match
		return
	}
	// The escaped path is the path as it was sent: another spelling of a
	// path of the table is not in the table.
	route, ok := site.routes[r.URL.EscapedPath()]
	if !ok {
		route.class = classOfUnknown(r.URL.Path)
	}
	site.policies.apply(w, route.class)
	if err := s.serve(w, r, site, route); err != nil {
		s.fail(w, r, site, route.class, err)
	}
}

func classOfUnknown(p string) class {
	if strings.HasPrefix(p, "/persona/api/") || strings.HasPrefix(p, "/persona/wsapi/") || p == pathDocument {
		return api
	}
	return page
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, site *site, route route) error {
	if route.methods == nil {
		return site.notFound()
	}
	// A service worker from here would control the website's pages, too.
	if r.Header.Get("Service-Worker") != "" {
		return &httpError{status: http.StatusForbidden, code: "no_service_worker", public: "No service worker may be made of this."}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := route.methods[method]
	if !ok {
		w.Header().Set("Allow", allowed(route.methods))
		return &httpError{status: http.StatusMethodNotAllowed, code: "method_not_allowed", public: "This address does not take " + printable(r.Method, 16) + " requests."}
	}
	// A verification is asked for by servers, and nobody's cookie counts there.
	if err := s.crossOrigin.Check(r); err != nil && route.class != verification {
		return &httpError{status: http.StatusForbidden, code: "cross_origin", public: "This request came from a page of another website, so it was refused.", cause: err}
	}
	if !route.keyless {
		if _, err := s.config.Keys.Published(site.host.Name, keys.UseCertificates); err != nil {
			return errKeys(err)
		}
	}
	return handle(w, r, site)
}

// allowed lists methods for the Allow header.
func allowed(methods map[string]handler) string {
	names := slices.Sorted(maps.Keys(methods))
	if _, ok := methods[http.MethodGet]; ok {
		names = slices.Insert(names, 1, http.MethodHead)
	}
	return strings.Join(names, ", ")
}

// serveAsset serves a file with its ETag.
func serveAsset(asset web.Asset) handler {
	return func(w http.ResponseWriter, r *http.Request, _ *site) error {
		w.Header().Set("ETag", asset.ETag)
		if sameETag(r.Header.Get("If-None-Match"), asset.ETag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		write(w, http.StatusOK, asset.ContentType, asset.Body)
		return nil
	}
}

// sameETag says whether an If-None-Match header names the ETag (RFC 9110,
// section 13.1.2, weak comparison).
func sameETag(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}
