package check_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"
)

// internet is a world of servers on loopback: real TCP, TLS and HTTP, under
// names and ports that only this world knows.
type internet struct {
	t         *testing.T
	authority *idptest.Authority
	names     map[string][]netip.Addr
	failing   map[string]error          // what DNS says of a name instead
	ports     map[string]string         // address:port of this world → listener
	pipes     map[string]func(net.Conn) // address:port of this world → its end of a connection in memory; nil: none comes about
	machine   []netip.Addr              // addresses of the machine that looks
	caa       map[string][]network.CAA
	caaError  error
	now       func() time.Time
	resolve   network.Resolve
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	return &internet{
		t: t, authority: idptest.NewAuthority(t), now: time.Now,
		names: map[string][]netip.Addr{}, failing: map[string]error{}, ports: map[string]string{}, pipes: map[string]func(net.Conn){}, caa: map[string][]network.CAA{},
	}
}

// place gives a name an address of its own.
func (i *internet) place(name string) netip.Addr {
	if known := i.names[name]; len(known) > 0 {
		return known[0]
	}
	ip := netip.AddrFrom4([4]byte{198, 51, 100, byte(len(i.names) + 1)})
	i.names[name] = []netip.Addr{ip}
	return ip
}

// serve serves HTTPS on port 443 of a name with a certificate that is right.
func (i *internet) serve(name string, handler http.Handler) {
	i.serveTLS(name, i.authority.TLS(i.t, name), handler)
}

func (i *internet) serveTLS(name string, settings *tls.Config, handler http.Handler) {
	server := newServer(i.t, handler)
	server.TLS = settings
	server.StartTLS()
	i.lead(name, 443, server.Listener.Addr())
}

// servePlain serves HTTP on port 80 of a name.
func (i *internet) servePlain(name string, handler http.Handler) {
	server := newServer(i.t, handler)
	server.Start()
	i.lead(name, 80, server.Listener.Addr())
}

func newServer(t *testing.T, handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are meant
	t.Cleanup(server.Close)
	return server
}

func (i *internet) lead(name string, port int, to net.Addr) {
	i.ports[netip.AddrPortFrom(i.place(name), uint16(port)).String()] = to.String()
}

func (i *internet) Addresses(_ context.Context, host string) ([]netip.Addr, error) {
	if err := i.failing[host]; err != nil {
		return nil, err
	}
	if known, ok := i.names[host]; ok {
		return known, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (i *internet) CAA(_ context.Context, host string) ([]network.CAA, string, error) {
	return i.caa[host], host, i.caaError
}

func (i *internet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if serve, ok := i.pipes[address]; ok && serve == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	} else if ok {
		near, far := net.Pipe()
		go serve(far)
		return near, nil
	}
	if network == "unix" {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		_, err := i.Addresses(ctx, host)
		return nil, err
	}
	to, ok := i.ports[address]
	switch {
	case ok:
		address = to
	case strings.HasPrefix(address, "198.51.100."), strings.HasPrefix(address, "[2001:db8:"):
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// checker checks this world; a nil configuration is that of an outsider.
func (i *internet) checker(c *config.Config) *check.Checker {
	return check.New(i.world(i.authority.Roots()), check.Options{Config: c, Source: "persona.yaml", Resolve: i.resolve})
}

// checkerWith is a stranger who trusts other roots.
func (i *internet) checkerWith(roots *x509.CertPool) *check.Checker {
	return check.New(i.world(roots), check.Options{})
}

func (i *internet) world(roots *x509.CertPool) check.Env {
	return check.Env{
		Now: i.now, Rand: rand.Reader, Log: zerolog.Nop(), Resolver: i, Dial: i.dial, Roots: roots,
		Interfaces: func() ([]netip.Addr, error) { return i.machine, nil },
		Directory:  translate.Directory,
	}
}

// collected keeps what is found.
type collected struct{ findings []report.Finding }

func (*collected) Begin(string, string)      {}
func (c *collected) Report(f report.Finding) { c.findings = append(c.findings, f) }
func (*collected) End(report.Summary) error  { return nil }
func (c *collected) of(name string) (all []report.Finding) {
	for _, f := range c.findings {
		if f.Name == name {
			all = append(all, f)
		}
	}
	return all
}

func look(t *testing.T, groups []report.Group) *collected {
	t.Helper()
	var c collected
	if _, err := report.Run(t.Context(), groups, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// want says what one step has to find.
type want struct {
	step   string
	status report.Status
	seen   string // contained
	cure   string // contained; a fault always has one
}

func (c *collected) expect(t *testing.T, w want) {
	t.Helper()
	found := c.of(w.step)
	if len(found) == 0 {
		t.Fatalf("there is no step %q in %+v", w.step, c.findings)
	}
	for _, f := range found {
		if f.Status == w.status && strings.Contains(f.String(), w.seen) && strings.Contains(f.Hint, w.cure) {
			if (f.Status == report.Failed || f.Status == report.Warning) && f.Hint == "" {
				t.Errorf("%s has no cure: %s", f.Name, f.String())
			}
			return
		}
	}
	t.Errorf("%s found\n  %+v\nwant %s, %q, %q", w.step, found, w.status, w.seen, w.cure)
}

// nothingElse expects no faults but those of the steps named.
func (c *collected) nothingElse(t *testing.T, but ...string) {
	t.Helper()
next:
	for _, f := range c.findings {
		if f.Status != report.Failed && f.Status != report.Warning {
			continue
		}
		for _, name := range but {
			if f.Name == name {
				continue next
			}
		}
		t.Errorf("%s, %s: %s (%s)", f.Subject, f.Name, f.String(), f.Hint)
	}
}

// provider is an identity provider without faults, of another company.
type provider struct {
	key      *rsa.PrivateKey
	document string
	answers  map[string]func(http.ResponseWriter, *http.Request)
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sharedKey is the key of all providers, because making one takes long.
var sharedKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{key: sharedKey()}
	public, err := browserid.NewPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	document, err := browserid.MarshalDocument(browserid.Support{PublicKey: public, Authentication: "/sign-in", Provisioning: "/provision"})
	if err != nil {
		t.Fatal(err)
	}
	p.document = string(document)
	p.answers = map[string]func(http.ResponseWriter, *http.Request){
		"/.well-known/browserid": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "public, max-age=3600")
			_, _ = io.WriteString(w, p.document)
		},
		"/sign-in":               page("authentication_api.js", "frame-ancestors 'none'"),
		"/provision":             page("provisioning_api.js", "frame-ancestors 'self' https://hub.example.test"),
		"/authentication_api.js": script,
		"/provisioning_api.js":   script,
	}
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer, ok := p.answers[r.URL.Path]; ok {
		answer(w, r)
		return
	}
	http.NotFound(w, r)
}

// with changes the answer of one path before it is given.
func (p *provider) with(path string, change func(http.Header)) {
	answer := p.answers[path]
	p.answers[path] = func(w http.ResponseWriter, r *http.Request) {
		record := httptest.NewRecorder()
		answer(record, r)
		change(record.Header())
		for name, values := range record.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(record.Code)
		_, _ = w.Write(record.Body.Bytes())
	}
}

func page(script, csp string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; "+csp)
		fmt.Fprintf(w, `<!doctype html><script async src="/%s?v=1"></script>`, script)
	}
}

func script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript")
	_, _ = io.WriteString(w, "navigator.id = {}")
}

func text(status int, contentType, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func redirect(to string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusMovedPermanently) }
}

func published(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		text(http.StatusOK, "application/json", body)(w, r)
	}
}

// load reads a configuration; its folder holds everything relative.
func load(t *testing.T, folder, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(folder, "persona.yaml")
	write(t, path, yaml, 0o600)
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

var errNoAnswer = errors.New("no answer")
