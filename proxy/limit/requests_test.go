package limit_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// desk is a server behind the middleware whose requests are limited. They wait for
// the end of the test, but for those to /now.
type desk struct {
	url      string
	client   *http.Client
	log      proxytest.Log
	requests *limit.Requests
	arrived  chan struct{}
	refused  chan string
}

func openDesk(t *testing.T, bounds limit.Bounds) *desk {
	t.Helper()
	d := &desk{arrived: make(chan struct{}, 100), refused: make(chan string, 100)}
	d.requests = limit.NewRequests(limit.Config{
		Log: d.log.Logger(), Refused: func(what, bound string) { d.refused <- what + " " + bound },
	}, proxy.StreamWindow, limit.NewConnections(limit.Config{}))
	d.requests.Set(bounds)
	chain := middleware.New(middleware.Config{Log: zerolog.Nop(), Trust: middleware.Trust{Listed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	certificate, roots := proxytest.Certificate()
	address := proxytest.Serve(t, proxy.NewServer(chain(d.requests.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/now" {
			d.arrived <- struct{}{}
			<-r.Context().Done()
		}
	}))), &tls.Config{Certificates: []tls.Certificate{certificate}}, zerolog.Nop()))
	d.url = "https://" + address
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	d.client = &http.Client{Transport: transport}
	return d
}

// hold makes a request of a client that is in flight until the returned function
// ends it, and checks whether it is admitted.
func (d *desk) hold(t *testing.T, client string, want string, change ...func(*http.Request)) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request := d.request(t, ctx, client, "/wait", change)
	var over sync.WaitGroup
	over.Go(func() {
		if res, err := d.client.Do(request); err == nil {
			res.Body.Close()
		}
	})
	end = func() { cancel(); over.Wait() }
	t.Cleanup(end)
	select {
	case <-d.arrived:
		if want != "" {
			t.Errorf("a request of %s was admitted, want it refused: %s", client, want)
		}
	case got := <-d.refused:
		if got != "request "+want {
			t.Errorf("a request of %s was refused: %s, want %q", client, got, want)
		}
	case <-t.Context().Done():
	}
	return end
}

func (d *desk) request(t *testing.T, ctx context.Context, client, path string, change []func(*http.Request)) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if client != "" {
		request.Header.Set("X-Forwarded-For", client)
	}
	for _, f := range change {
		f(request)
	}
	return request
}

// What a client has in flight at once is bounded, and no other client notices.
func TestRequestsOfOneClient(t *testing.T) {
	t.Parallel()
	d := openDesk(t, limit.Bounds{PerClient: 3, Sum: 100})
	var ends []func()
	for range 3 {
		ends = append(ends, d.hold(t, "198.51.100.1", ""))
	}
	res, err := d.client.Do(d.request(t, t.Context(), "198.51.100.1", "/now", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "5" || !strings.Contains(string(body), "Too many requests at once") {
		t.Errorf("%d, %v\n%s", res.StatusCode, res.Header, body)
	}
	line := d.log.Next(t, "a client has too many requests at once")
	if line["client"] != "198.51.100.1/32" || line["requests"] != 3.0 || line["level"] != "warn" || !strings.Contains(line["hint"].(string), "limits.requests_per_client") {
		t.Errorf("line %v", line)
	}
	if got := <-d.refused; got != "request client" {
		t.Errorf("refused: %s", got)
	}
	d.hold(t, "198.51.100.2", "")
	ends[1]()
	d.settle(t, 3)
	d.hold(t, "198.51.100.1", "")
}

// settle waits until so much is in flight.
func (d *desk) settle(t *testing.T, want int) {
	t.Helper()
	eventually(t, func() bool { return d.requests.InFlight() == want })
}

// No client network takes all: what it has is no more than what it leaves.
func TestRequestsAreShared(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		clients  []string // in order, as often as they are admitted
		refused  string
		another  string // is admitted then
		trusting bool
	}{
		"one network":                {clients: repeated("198.51.100.1", 6), refused: "198.51.100.1", another: "198.51.100.2"},
		"two networks":               {clients: slices.Concat(repeated("198.51.100.1", 4), repeated("198.51.100.2", 4)), refused: "198.51.100.2", another: "198.51.100.3"},
		"one /56":                    {clients: slices.Concat(repeated("2001:db8:0:100::1", 3), repeated("2001:db8:0:1ff::1", 3)), refused: "2001:db8:0:1aa::1", another: "2001:db8:0:200::1"},
		"a proxy that names none":    {clients: repeated("", 11), another: ""},
		"a client with a long chain": {clients: repeated("192.0.2.66, 198.51.100.1", 6), refused: "192.0.2.77, 198.51.100.1", another: "192.0.2.66"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDesk(t, limit.Bounds{PerClient: 100, Sum: 12})
			for _, client := range test.clients {
				d.hold(t, client, "")
			}
			if test.refused != "" {
				d.hold(t, test.refused, "client")
			}
			d.hold(t, test.another, "")
		})
	}
}

func repeated(client string, n int) []string { return slices.Repeat([]string{client}, n) }

// All requests together are bounded, by what they may cost.
func TestRequestsInAll(t *testing.T) {
	t.Parallel()
	post := func(length int64) func(*http.Request) {
		return func(r *http.Request) {
			reader, writer := io.Pipe()
			context.AfterFunc(r.Context(), func() { writer.Close() })
			r.Method, r.Body, r.ContentLength = http.MethodPost, reader, length
		}
	}
	fields := func(name string, n, size int) func(*http.Request) {
		return func(r *http.Request) {
			for i := range n {
				r.Header.Add(name, fmt.Sprintf("k%d=%s", i, strings.Repeat("x", size)))
			}
		}
	}
	plain := func(*http.Request) {}
	for name, test := range map[string]struct {
		change func(*http.Request)
		weight int
	}{
		"plain":                    {plain, 1},
		"with a body":              {post(10), 10},
		"with a large body":        {post(1 << 30), 10 + 16},
		"with a body of any size":  {post(-1), 10 + 16},
		"with long cookies":        {fields("Cookie", 12, 4000), 1 + 2},
		"with many fields":         {fields("X-Field", 600, 1), 1 + 2},
		"with a long single field": {fields("X-Field", 1, 40<<10), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const fit = 3
			d := openDesk(t, limit.Bounds{PerClient: 100, Sum: fit*test.weight + test.weight - 1})
			for range fit {
				d.hold(t, "", "", test.change)
			}
			if got := d.requests.InFlight(); got != fit*test.weight {
				t.Errorf("%d requests count %d", fit, got)
			}
			end := d.hold(t, "", "sum", test.change)
			end()
			if test.weight > 1 {
				d.hold(t, "", "")
				return
			}
			res, err := d.client.Do(d.request(t, t.Context(), "", "/now", nil))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "5" {
				t.Errorf("%d, %v", res.StatusCode, res.Header)
			}
			if line := d.log.Next(t, "too many requests at once"); !strings.Contains(line["hint"].(string), "limits.requests") {
				t.Errorf("line %v", line)
			}
		})
	}
}
