// Package website checks the website behind a host, asked as the program asks it: directly.
package website

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/page"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/proxy/upstream/redirect"
)

// Config is what a Site needs.
type Config struct {
	Host        config.Host   // whose website it is
	Hosts       []config.Host // all of the configuration
	PublicHTTPS int           // the port at which visitors come
	PlainHTTP   bool          // visitors may come by plain HTTP as well, and are led to HTTPS
	UserAgent   string
	Now         func() time.Time
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Observe     func(*http.Response) // is told each answer
}

// Site is a website, and what was found of it so far.
type Site struct {
	Config
	authority string         // by which visitors name the host
	at        string         // the URL of the website, as the client takes it
	client    visitor.Client // as the program itself connects, by the machine's names
	rule      *redirect.Rule // of its redirects; nil: they pass as they are
	home      visitor.Answer // nil Response: it does not answer
	page      page.Page      // of home
}

// New returns a Site of which nothing is known. Its host has an upstream.
func New(cfg Config) *Site {
	w := &Site{Config: cfg, authority: config.Authority(cfg.Host.Name, cfg.PublicHTTPS, 443)}
	if cfg.Host.Entry.RewriteRedirects {
		w.rule = redirect.New(cfg.Host.Upstream, cfg.PublicHTTPS)
	}
	w.connect()
	return w
}

// Steps are what is to be checked behind CheckHome.
func (w *Site) Steps() []report.Step {
	steps := []report.Step{{Name: "redirects", Run: w.checkDirectories}, {Name: "addresses", Run: w.checkAddresses}}
	if w.Host.Role != config.RolePlain {
		steps = append(steps, report.Step{Name: "paths", Run: w.checkPaths})
	}
	steps = append(steps, report.Step{Name: "popups", Run: w.checkPopups})
	if w.Host.Role == config.RoleIdentity {
		steps = append(steps, report.Step{Name: "service worker", Run: w.checkWorkers}, report.Step{Name: "layout", Run: func(context.Context) report.Finding {
			return report.Warn(w.apart(), "website and sign-in share the origin https://%s: a script injected into the website could read passwords typed there", w.Host.Name)
		}})
	}
	return steps
}

// get asks the website for a path as the program does for a visitor.
func (w *Site) get(ctx context.Context, path string, more http.Header) (visitor.Answer, error) {
	header := http.Header{
		"Host":              {w.authority},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {w.authority},
		"X-Forwarded-Port":  {strconv.Itoa(w.PublicHTTPS)},
		"Accept":            {"text/html,*/*"},
	}
	for name, values := range more {
		header[name] = values
	}
	return w.client.Get(ctx, w.at+path, header)
}

// connect makes the client that reaches the website as the entry of its host says.
func (w *Site) connect() {
	to, trust := w.Host.Upstream, w.Host.Entry.UpstreamTLS
	w.at = to.String()
	w.client = visitor.Client{HTTP: visitor.NewHTTP(w.Dial, trust.Roots, w.Now), UserAgent: w.UserAgent, Observe: w.Observe}
	transport := w.client.HTTP.Transport.(*http.Transport)
	transport.TLSClientConfig.ServerName = trust.ServerName
	transport.TLSClientConfig.InsecureSkipVerify = trust.Insecure //nolint:gosec // as the operator wants the program to do
	if trust.ClientCertFile != "" {
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(trust.ClientCertFile, trust.ClientKeyFile)
			return &certificate, err
		}
	}
	switch to.Scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return w.Dial(ctx, "unix", to.Path) }
		w.at = "http://" + w.Host.Name
	case "h2c", "h2":
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(to.Scheme == "h2c")
		transport.Protocols.SetHTTP2(to.Scheme == "h2")
		w.at = map[string]string{"h2c": "http://", "h2": "https://"}[to.Scheme] + to.Host
	}
}

// Address returns the host and port at which a website listens that is not at a socket.
func Address(at *url.URL) string {
	port := "80"
	if at.Scheme == "https" || at.Scheme == "h2" {
		port = "443"
	}
	return net.JoinHostPort(at.Hostname(), cmp.Or(at.Port(), port))
}

// AnswersAt reports whether it is this website that answers at another address.
func (w *Site) AnswersAt(ctx context.Context, address string) bool {
	cfg, entry, to := w.Config, *w.Host.Entry, *w.Host.Upstream
	to.Host = address
	entry.UpstreamTLS.Insecure = true // its certificate is for another name
	cfg.Host.Entry, cfg.Host.Upstream = &entry, &to
	there, err := New(cfg).get(ctx, "/", nil)
	if err != nil {
		return false
	}
	here, err := w.get(ctx, "/", nil)
	if err != nil || here.StatusCode != there.StatusCode {
		return false
	}
	for _, name := range []string{"Server", "X-Powered-By", "Content-Type"} {
		if here.Header.Get(name) != there.Header.Get(name) {
			return false
		}
	}
	return true
}

// CheckHome asks for the first page. It follows the website's own redirects on the same
// host, as websites lead to their language. down is why there is no answer at all.
func (w *Site) CheckHome(ctx context.Context) (finding report.Finding, down *visitor.Fault) {
	path, trail := "/", ""
	for range 5 {
		got, err := w.get(ctx, path, nil)
		if err != nil {
			fault := visitor.Explain(err, w.Host.Upstream.Hostname())
			return report.Fail("visitors see an error page: "+w.hint(fault), "%v", fault), fault
		}
		if got.StatusCode == http.StatusBadRequest {
			return report.Fail("does the website want https:// in upstream, or does it not know the name "+w.Host.Name+"?", "it answers 400: %s", visitor.Brief(got.Body)), nil
		}
		if got.StatusCode == http.StatusLoopDetected {
			return report.Fail("upstream leads back to this program: name the website's own host there", "it answers 508: the request goes in circles"), nil
		}
		if got.StatusCode >= 500 {
			return report.Fail("look at the website's own log", "it answers %d: %s", got.StatusCode, visitor.Brief(got.Body)), nil
		}
		to, finding := w.leads(got, path)
		switch {
		case finding.Status == report.Failed, finding.Status == report.Warning:
			return finding, nil
		case to == "":
			w.home = got
			w.page = page.Parse(got.Body, w.public(path), got.Header)
			for _, scheme := range got.Header["Www-Authenticate"] {
				scheme = strings.ToLower(strings.Fields(scheme + " -")[0])
				if (scheme == "ntlm" || scheme == "negotiate") && w.Host.Entry.HTTP2 {
					return report.Warn("write http2: false in the entry of the domain: such sign-ins belong to a connection, and over HTTP/2 many requests share one", "it asks for %s, with which no one can sign in over HTTP/2", scheme), nil
				}
			}
			return report.Pass("%d%s", got.StatusCode, trail), nil
		case !strings.HasPrefix(to, "/"):
			return report.Pass("%d%s", got.StatusCode, trail+finding.Message), nil
		}
		path, trail = to, trail+finding.Message
	}
	return report.Fail("tell the website that it is behind a proxy and its name is https://"+w.authority, "it redirects without end: /%s", trail), nil
}

// hint is what to do about a website that gives no answer. It is the operator's own,
// so that it is not about the Internet between here and there.
func (w *Site) hint(fault *visitor.Fault) string {
	switch fault.Kind {
	case visitor.NoName:
		return "correct the host name in upstream: this machine does not know it"
	case visitor.NoDNS:
		return fault.Hint()
	case visitor.Untrusted:
		return network.UntrustedHint(fault, w.Now(), w.Host.Upstream.Hostname(), "upstream_tls.server_name",
			"name its authority in upstream_tls.ca_file, or use http:// inside a private network")
	case visitor.Silent:
		return "look at the website's load and its own log: it takes the connection and hangs"
	case visitor.NotTLS:
		return "is upstream right? Write http:// if the website speaks plain HTTP at that port"
	case visitor.Other:
		if errors.Is(fault, fs.ErrPermission) { // of a socket in the file system
			return "let the user that runs persona write to " + w.Host.Upstream.Path
		}
	case visitor.NotHTTP, visitor.Closed:
		return "is upstream right? Something else than a web server seems to listen at that port, or one that wants https://"
	}
	return "is the website running, and is upstream right?"
}

// checkPaths sees whether the website uses paths that it does not get any more.
func (w *Site) checkPaths(ctx context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	paths := []string{"/.well-known/browserid"}
	if w.Host.Role == config.RoleIdentity {
		paths = append(paths, "/persona", "/persona/")
	}
	nothing, err := w.get(ctx, "/persona-check-finds-nothing-here", nil)
	switch {
	case err != nil:
		return report.Skip("the website does not answer for unknown paths: %v", err)
	case nothing.StatusCode < 400:
		return report.Skip("the website answers 200 for unknown paths")
	}
	var f report.Faults
	for _, path := range paths {
		got, err := w.get(ctx, path, nil)
		if err != nil {
			return report.Skip("the website does not answer for %s: %v", path, err)
		}
		if got.StatusCode != nothing.StatusCode && got.StatusCode < 500 {
			hint := "move what the website has there: persona answers that path now"
			if w.Host.Role == config.RoleIdentity {
				hint += ". Or " + w.apart()
			}
			f.Warn(hint, "the website answers %s itself (%d)", path, got.StatusCode)
		}
	}
	return f.Finding("the website has nothing at %s", strings.Join(paths, ", "))
}

// checkPopups: pages of this website that open the dialog must not be cut from
// it.
func (w *Site) checkPopups(context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	if policy, cuts := page.CutsPopups(w.home.Header, true); cuts {
		return report.Warn("send same-origin-allow-popups, or none, with the pages that offer to sign in", "its pages have Cross-Origin-Opener-Policy: %s, which cuts them from every popup", policy)
	}
	return report.Pass("no Cross-Origin-Opener-Policy that cuts them")
}

// apart is how website and sign-in get an origin each.
func (w *Site) apart() string {
	for _, other := range w.Hosts {
		if other.Authority == w.Host.Name {
			return "take upstream away from " + w.Host.Name + ": it is the identity host of " + other.Name
		}
	}
	return "give identity a host of its own by one line (authority: id." + strings.TrimPrefix(w.Host.Name, "www.") + ")"
}

// mostScripts bounds how many scripts of a website are read.
const mostScripts = 20

var (
	registers = regexp.MustCompile(`serviceWorker\s*(\?\.|\.|\[['"])\s*register\b`)
	// workerPaths are where service workers usually lie.
	workerPaths = []string{"/sw.js", "/service-worker.js", "/serviceworker.js", "/ngsw-worker.js", "/firebase-messaging-sw.js", "/OneSignalSDKWorker.js"}
)

// checkWorkers looks for a service worker of the website: one whose scope is /
// handles requests for our pages, too.
func (w *Site) checkWorkers(ctx context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	where := w.registration(ctx)
	for _, path := range workerPaths {
		if where != "" {
			break
		}
		got, err := w.get(ctx, path, http.Header{"Service-Worker": {"script"}})
		if err != nil {
			return report.Skip("the website does not answer for %s: %v", path, err)
		}
		if got.StatusCode == http.StatusOK && strings.Contains(strings.ToLower(got.Header.Get("Content-Type")), "javascript") {
			where = "there is " + path
		}
	}
	if where == "" {
		return report.Pass("none found")
	}
	return report.Warn(w.apart()+", or keep the worker's scope away from /persona/",
		"%s: a service worker of the website controls the sign-in pages, too", where)
}

// registration returns where the website registers a worker.
func (w *Site) registration(ctx context.Context) string {
	if registers.Match(w.home.Body) {
		return "its page registers one"
	}
	count := 0
	for _, r := range w.page.References {
		if r.Kind != page.Script || r.URL.Host != w.Host.Upstream.Host && r.URL.Hostname() != w.Host.Name {
			continue
		}
		if count++; count > mostScripts {
			break
		}
		got, err := w.get(ctx, r.URL.RequestURI(), nil)
		if err == nil && got.StatusCode == http.StatusOK && registers.Match(got.Body) {
			return "its script " + r.URL.Path + " registers one"
		}
	}
	return ""
}
