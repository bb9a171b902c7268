package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	// longestConnect bounds a connection attempt to one address.
	longestConnect = 7 * time.Second
	// longestExchange bounds one request with its answer.
	longestExchange = 15 * time.Second
	// longestBody is how much of an answer is read, in bytes.
	longestBody = 1 << 20

	agent = "persona-check"
)

// web asks web servers as an outsider: by DNS (or where Options.Resolve says),
// with verified TLS, without a proxy, following no redirect.
type web struct {
	examiner *Examiner
	client   *http.Client
	named    map[string]bool // host names for which Options.Resolve counts
	dates    []dated
}

// dated is what an answer says of the time.
type dated struct {
	source string // who says so
	ahead  time.Duration
}

func newWeb(e *Examiner) *web {
	w := &web{examiner: e, named: map[string]bool{}}
	for _, host := range e.hosts {
		w.named[host.Name] = true
	}
	w.client = w.clientFor(e.Roots)
	return w
}

// clientFor returns a client that trusts other roots.
func (w *web) clientFor(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:       w.dial,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Time: w.examiner.Now, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // nothing is left open when the run ends
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       longestExchange,
	}
}

// direct returns a client for what the program itself asks, such as the website:
// by the names of the machine (/etc/hosts, the names of containers).
func (w *web) direct() *http.Client {
	client := w.clientFor(nil)
	client.Transport.(*http.Transport).DialContext = w.examiner.Dial
	return client
}

// dial connects to a host:port by what DNS says, trying each address.
func (w *web) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	targets, err := w.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, target := range targets {
		connection, err := w.connect(ctx, network, target)
		if err == nil {
			return connection, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (w *web) connect(ctx context.Context, network, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, longestConnect)
	defer cancel()
	return w.examiner.Dial(ctx, network, target)
}

// targets returns where to connect for a port of a host, each as host:port.
func (w *web) targets(ctx context.Context, host, port string) ([]string, error) {
	if w.instead(host) {
		target := w.examiner.Resolve.instead(port)
		if target == "" {
			return nil, fmt.Errorf("-resolve names a port for HTTPS, and none is known for port %s", port)
		}
		return []string{target}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.String(), port)}, nil
	}
	addresses, err := w.examiner.Resolver.Addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var targets []string
	for _, ip := range addresses {
		targets = append(targets, net.JoinHostPort(ip.String(), port))
	}
	return targets, nil
}

// instead says whether a host is looked for where Options.Resolve says.
func (w *web) instead(host string) bool {
	return w.named[host] && w.examiner.Resolve.host != ""
}

// answer is a response, read to its end or to longestBody.
type answer struct {
	*http.Response
	body []byte
	cut  bool // there was more
}

// get asks for a URL.
func (w *web) get(ctx context.Context, target string, header http.Header) (answer, error) {
	return w.ask(ctx, w.client, http.MethodGet, target, header, nil)
}

// ask sends a request and reads the answer.
func (w *web) ask(ctx context.Context, client *http.Client, method, target string, header http.Header, body io.Reader) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return answer{}, fmt.Errorf("asking for %s: %w", target, err)
	}
	request.Header.Set("User-Agent", agent)
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	w.note(response)
	content, err := io.ReadAll(io.LimitReader(response.Body, longestBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer of %s: %w", target, err)
	}
	if len(content) > longestBody {
		return answer{Response: response, body: content[:longestBody], cut: true}, nil
	}
	return answer{Response: response, body: content}, nil
}

// note remembers what a server that is not ours says of the time.
func (w *web) note(response *http.Response) {
	host := response.Request.URL.Hostname()
	ip, err := netip.ParseAddr(host)
	if _, own := w.examiner.ours(host); own || host == "localhost" || err == nil && ip.IsLoopback() {
		return // one clock cannot be compared with itself
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil || response.Header.Get("Age") != "" { // what a cache kept is old
		return
	}
	// A Date is cut to whole seconds: half a second is the best guess.
	w.dates = append(w.dates, dated{host, w.examiner.Now().Sub(theirs.Add(time.Second / 2))})
}

// unreached makes a finding of an error of asking or connecting: what it comes
// down to, and the cure.
func unreached(err error, host string) Finding {
	var (
		dns         *net.DNSError
		authority   x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
		notTLS      tls.RecordHeaderError
		urlError    *url.Error
		text        = err.Error()
		isTimeout   = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &urlError) && urlError.Timeout()
		isHandshake = errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
	)
	if errors.As(err, &urlError) {
		text = urlError.Err.Error() // without the request, which the step names
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return failed("make an A (and AAAA) record for "+host, "DNS knows no address of %s", host)
	case errors.As(err, &dns):
		return failed("try again; when it stays so, look at the name servers of the domain", "DNS does not answer for %s: %s", host, dns.Err)
	case isHandshake:
		return failed("see the step \"certificate\"", "TLS: %s", text)
	case errors.As(err, &notTLS):
		return failed("something else than HTTPS listens there: look at the port, and at what forwards to it", "the answer is not TLS")
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed("is the program running, and does the port lead to it?", "the connection is refused")
	case isTimeout:
		return failed("look at the firewall, the router's forwarding and the cloud's security group", "no answer in time")
	}
	return failed("look at the network between here and "+host, "%s", text)
}
