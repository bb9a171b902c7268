package check

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
)

// website is an upstream, looked at as the program reaches it: directly.
type website struct {
	*Checker
	host   config.Host
	at     string         // its URL, as the client takes it
	client visitor.Client // as the program itself connects, by the machine's names
	home   visitor.Answer // nil Response: it does not answer
}

// websiteOf names the website of a host, which may answer each domain in another way.
func websiteOf(host config.Host) string {
	if host.Upstream == nil {
		return ""
	}
	return host.Domain + " " + host.Upstream.String()
}

// websiteGroup checks a website for the first host that leads to it.
func (c *Checker) websiteGroup(host config.Host) report.Group {
	w := &website{Checker: c, host: host}
	w.at, w.client = c.clientOf(host)
	steps := []report.Step{{Name: "answers", Run: func(ctx context.Context) report.Finding {
		if c.down[host.Upstream.String()] != nil {
			c.failing[websiteOf(host)] = true
			return report.Skip("it does not answer, as found above")
		}
		finding := w.checkHome(ctx)
		c.failing[websiteOf(host)] = finding.Status == report.Failed
		return finding
	}}}
	if host.Role != config.RolePlain {
		steps = append(steps, report.Step{Name: "paths", Run: w.checkPaths})
	}
	steps = append(steps, report.Step{Name: "popups", Run: w.checkPopups})
	if host.Role == config.RoleIdentity {
		steps = append(steps, report.Step{Name: "service worker", Run: w.checkWorkers}, report.Step{Name: "layout", Run: func(context.Context) report.Finding {
			return report.Warn(w.apart(), "website and sign-in share the origin https://%s: a script injected into the website could read passwords typed there", w.host.Name)
		}})
	}
	return report.Group{Subject: "website " + host.Upstream.String() + " of " + host.Name, Steps: steps}
}

// get asks the website for a path as the program does for a visitor.
func (w *website) get(ctx context.Context, path string, more http.Header) (visitor.Answer, error) {
	header := http.Header{
		"Host":              {w.host.Name},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {w.host.Name},
		"Accept":            {"text/html,*/*"},
	}
	for name, values := range more {
		header[name] = values
	}
	return w.client.Get(ctx, w.at+path, header)
}

// clientOf returns a client that reaches the website of a host as its entry says,
// and the website's URL for it.
func (c *Checker) clientOf(host config.Host) (at string, client visitor.Client) {
	to, trust := host.Upstream, host.Entry.UpstreamTLS
	client = visitor.Client{HTTP: visitor.NewHTTP(c.Dial, trust.Roots, c.Now), UserAgent: agent, Observe: c.clock.Note}
	transport := client.HTTP.Transport.(*http.Transport)
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
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, "unix", to.Path) }
		return "http://" + host.Name, client
	case "h2c", "h2":
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(to.Scheme == "h2c")
		transport.Protocols.SetHTTP2(to.Scheme == "h2")
		return map[string]string{"h2c": "http://", "h2": "https://"}[to.Scheme] + to.Host, client
	}
	return to.String(), client
}

// checkHome follows the website's own redirects on the same host, as websites
// lead to their language.
func (w *website) checkHome(ctx context.Context) report.Finding {
	path, trail := "/", ""
	for range 5 {
		got, err := w.get(ctx, path, nil)
		if err != nil {
			fault := visitor.Explain(err, w.host.Upstream.Hostname())
			w.down[w.host.Upstream.String()] = fault
			return report.Fail("visitors see an error page: "+w.hint(fault), "%v", fault)
		}
		if got.StatusCode == http.StatusBadRequest {
			return report.Fail("does the website want https:// in upstream, or does it not know the name "+w.host.Name+"?", "it answers 400: %s", visitor.Brief(got.Body))
		}
		if got.StatusCode == http.StatusLoopDetected {
			return report.Fail("upstream leads back to this program: name the website's own host there", "it answers 508: the request goes in circles")
		}
		if got.StatusCode >= 500 {
			return report.Fail("look at the website's own log", "it answers %d: %s", got.StatusCode, visitor.Brief(got.Body))
		}
		location := got.Header.Get("Location")
		if got.StatusCode < 300 || got.StatusCode >= 400 || location == "" {
			w.home = got
			for _, scheme := range got.Header["Www-Authenticate"] {
				scheme = strings.ToLower(strings.Fields(scheme + " -")[0])
				if (scheme == "ntlm" || scheme == "negotiate") && w.host.Entry.HTTP2 {
					return report.Warn("write http2: false in the entry of the domain: such sign-ins belong to a connection, and over HTTP/2 many requests share one", "it asks for %s, with which no one can sign in over HTTP/2", scheme)
				}
			}
			return report.Pass("%d%s", got.StatusCode, trail)
		}
		target, err := (&url.URL{Scheme: "https", Host: w.host.Name, Path: got.Request.URL.Path}).Parse(location)
		switch {
		case err == nil && target.Scheme == "https" && target.Host == w.host.Name:
			path, trail = target.RequestURI(), trail+" → "+target.RequestURI()
		case err == nil && target.Scheme == "http" && target.Hostname() == w.host.Name:
			return report.Fail("tell the website that it is behind a proxy that ends TLS (it must trust X-Forwarded-Proto)", "it redirects to %s: with persona in front, in circles", location)
		case err == nil && target.Host == w.host.Upstream.Host && target.Host != w.host.Name:
			return report.Fail("tell the website its public name, https://"+w.host.Name, "it redirects to its inner address %s", location)
		default:
			return report.Pass("%d to %s", got.StatusCode, location)
		}
	}
	return report.Fail("tell the website that it is behind a proxy and its name is https://"+w.host.Name, "it redirects without end: /%s", trail)
}

// hint is what to do about a website that gives no answer. It is the operator's own,
// so that it is not about the Internet between here and there.
func (w *website) hint(fault *visitor.Fault) string {
	switch fault.Kind {
	case visitor.NoName:
		return "correct the host name in upstream: this machine does not know it"
	case visitor.NoDNS:
		return fault.Hint()
	case visitor.Untrusted:
		return w.untrustedHint(fault, w.host.Upstream.Hostname(), "upstream_tls.server_name",
			"name its authority in upstream_tls.ca_file, or use http:// inside a private network")
	case visitor.Silent:
		return "look at the website's load and its own log: it takes the connection and hangs"
	case visitor.NotTLS:
		return "is upstream right? Write http:// if the website speaks plain HTTP at that port"
	case visitor.Other:
		if errors.Is(fault, fs.ErrPermission) { // of a socket in the file system
			return "let the user that runs persona write to " + w.host.Upstream.Path
		}
	case visitor.NotHTTP, visitor.Closed:
		return "is upstream right? Something else than a web server seems to listen at that port, or one that wants https://"
	}
	return "is the website running, and is upstream right?"
}

// checkPaths sees whether the website uses paths that it does not get any more.
func (w *website) checkPaths(ctx context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	paths := []string{"/.well-known/browserid"}
	if w.host.Role == config.RoleIdentity {
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
			if w.host.Role == config.RoleIdentity {
				hint += ". Or " + w.apart()
			}
			f.Warn(hint, "the website answers %s itself (%d)", path, got.StatusCode)
		}
	}
	return f.Finding("the website has nothing at %s", strings.Join(paths, ", "))
}

// checkPopups: pages of this website that open the dialog must not be cut from
// it.
func (w *website) checkPopups(context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	if policy, cuts := cutsPopups(w.home.Header, true); cuts {
		return report.Warn("send same-origin-allow-popups, or none, with the pages that offer to sign in", "its pages have Cross-Origin-Opener-Policy: %s, which cuts them from every popup", policy)
	}
	return report.Pass("no Cross-Origin-Opener-Policy that cuts them")
}

// apart is how website and sign-in get an origin each.
func (w *website) apart() string {
	for _, other := range w.hosts {
		if other.Authority == w.host.Name {
			return "take upstream away from " + w.host.Name + ": it is the identity host of " + other.Name
		}
	}
	return "give identity a host of its own by one line (authority: id." + strings.TrimPrefix(w.host.Name, "www.") + ")"
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
func (w *website) checkWorkers(ctx context.Context) report.Finding {
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
func (w *website) registration(ctx context.Context) string {
	if registers.Match(w.home.Body) {
		return "its page registers one"
	}
	count := 0
	for _, match := range scriptSource.FindAllSubmatch(w.home.Body, -1) {
		source, err := w.home.Request.URL.Parse(string(match[1]))
		own := err == nil && (source.Host == w.host.Upstream.Host || source.Host == w.host.Name)
		if !own {
			continue
		}
		if count++; count > mostScripts {
			break
		}
		got, err := w.get(ctx, source.RequestURI(), nil)
		if err == nil && got.StatusCode == http.StatusOK && registers.Match(got.Body) {
			return "its script " + source.Path + " registers one"
		}
	}
	return ""
}
