package check_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/report"
)

// These tests run in bubbles whose clock jumps to the next event, over connections in
// memory. Each sleeps until all servers have ended.

// secured answers one request over TLS.
func secured(settings *tls.Config, answer http.HandlerFunc) func(net.Conn) {
	return func(connection net.Conn) {
		defer func() { _ = connection.Close() }()
		inner := tls.Server(connection, settings)
		request, err := http.ReadRequest(bufio.NewReader(inner))
		if err != nil {
			return // a handshake alone
		}
		record := httptest.NewRecorder()
		answer(record, request)
		_ = record.Result().Write(inner)
		_ = inner.Close()
	}
}

// TestSilentWebsite: a website that takes connections and does not answer is waited
// for once, whatever leads to it, and its hint is about the website.
func TestSilentWebsite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := newInternet(t)
		waits := 0
		silent := func(connection net.Conn) {
			waits++
			_, _ = io.Copy(io.Discard, connection)
			_ = connection.Close()
		}
		world.pipes["10.0.0.1:80"] = silent
		for _, name := range []string{"example.test", "www.example.test", "other.test"} {
			provider := newProvider(t)
			world.pipes[world.place(name).String()+":443"] = secured(world.authority.TLS(t, name), func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" { // as the program waits for the website
					waits++
					time.Sleep(time.Minute)
				}
				provider.ServeHTTP(w, r)
			})
		}
		yaml := replaced(withWebsite("http://10.0.0.1"), "directory: corp}", `directory: corp, hosts: [www.example.test]}
  - {name: other.test, upstream: "http://10.0.0.1"}`)
		began := time.Now()
		found := look(t, world.checker(load(t, folder(t), yaml)).Everything())
		found.expect(t, want{"answers", report.Failed, "it accepts the connection and gives no answer in time", "look at the website's load and its own log"})
		found.expect(t, want{"answers", report.Skipped, "as found above", ""})
		if websites := found.of("website"); len(websites) != 3 {
			t.Errorf("there are %d steps for the websites", len(websites))
		}
		for _, f := range found.of("website") {
			if f.Status != report.Skipped || !strings.Contains(f.String(), "does not answer") {
				t.Errorf("got %+v", f)
			}
		}
		took := time.Since(began)
		time.Sleep(time.Hour)
		if waits != 1 || took > 20*time.Second {
			t.Errorf("it was waited for %d times, and all took %s", waits, took)
		}
		for _, f := range found.findings {
			if strings.Contains(f.Hint, "firewall") {
				t.Errorf("%s: %s → %s", f.Name, f.String(), f.Hint)
			}
		}
	})
}

// TestHalfSilentWebsite: a website that answers at some paths alone is not waited for at
// each of the others.
func TestHalfSilentWebsite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := newInternet(t)
		world.pipes["10.0.0.1:80"] = func(connection net.Conn) {
			defer func() { _ = connection.Close() }()
			if request, err := http.ReadRequest(bufio.NewReader(connection)); err == nil && request.URL.Path != "/" {
				_, _ = io.Copy(io.Discard, connection)
			}
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\nhello")
		}
		world.pipes[world.place("example.test").String()+":80"] = func(connection net.Conn) {
			_, _ = io.Copy(io.Discard, connection)
			_ = connection.Close()
		}
		began := time.Now()
		found := look(t, world.checker(load(t, folder(t), withWebsite("http://10.0.0.1"))).Everything())
		found.expect(t, want{"answers", report.OK, "200", ""})
		for _, step := range []string{"paths", "service worker"} {
			found.expect(t, want{step, report.Skipped, "gives no answer in time", ""})
		}
		found.expect(t, want{"plain HTTP", report.Warning, "accepts the connection", "the load and the log of the server there"})
		took := time.Since(began)
		time.Sleep(time.Hour)
		if took > time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// TestSilentPort: a port that is taken, and at which nothing speaks TLS, holds check up
// for seconds.
func TestSilentPort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := newInternet(t)
		world.pipes[world.place("example.org").String()+":443"] = func(connection net.Conn) {
			_, _ = io.Copy(io.Discard, connection)
			_ = connection.Close()
		}
		began := time.Now()
		found := look(t, world.checker(nil).Domain("example.org"))
		found.expect(t, want{"certificate", report.Failed, "no answer in time", "look at what listens there"})
		took := time.Since(began)
		time.Sleep(time.Hour)
		if took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestSlowDiscovery: hubs and verifiers give up after eight seconds. Until fifteen
// check waits, and tells how long it took.
func TestSlowDiscovery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes time.Duration
		wants []want
	}{
		"quick": {0, []want{{"speed", report.OK, "took 0s", ""}}},
		"slow":  {5 * time.Second, []want{{"speed", report.Warning, "took 5s", "give up after 8s"}, {"authority", report.OK, "", ""}}},
		"too slow": {12 * time.Second, []want{
			{"support document", report.OK, "200", ""},
			{"speed", report.Warning, "took 12s: too long, so that sign-ins fail", "give up after 8s"},
			{"authority", report.OK, "example.org is its own authority", ""},
		}},
		"silent": {time.Minute, []want{{"support document", report.Failed, "it accepts the connection and gives no answer in time", "the load and the log of the server there"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := newInternet(t)
				provider := newProvider(t)
				world.pipes[world.place("example.org").String()+":443"] = secured(world.authority.TLS(t, "example.org"), func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/.well-known/browserid" {
						time.Sleep(test.takes)
					}
					provider.ServeHTTP(w, r)
				})
				found := look(t, world.checker(nil).Domain("example.org"))
				time.Sleep(time.Hour)
				for _, w := range test.wants {
					found.expect(t, w)
				}
				if last := test.wants[len(test.wants)-1]; last.status != report.Failed {
					found.nothingElse(t, "speed")
				}
			})
		})
	}
}

// TestSlowAuthorityOfAPerson: a slow look-up is told on the way of a person, too, and
// does not end it.
func TestSlowAuthorityOfAPerson(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := newInternet(t)
		host := newHost(t)
		world.pipes[world.place("example.test").String()+":443"] = secured(world.authority.TLS(t, "example.test"), func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.well-known/browserid" {
				time.Sleep(9 * time.Second)
			}
			host.ServeHTTP(w, r)
		})
		found := look(t, world.checker(load(t, folder(t), identityYAML)).Address(check.SignIn{
			Address:  target(t, "alice@example.test").Address,
			Password: func(context.Context) (string, error) { return "secret", nil },
		}))
		time.Sleep(time.Hour)
		found.expect(t, want{"authority", report.Warning, "took 9s", "give up after 8s"})
		found.expect(t, want{"assertion", report.OK, "alice@example.test is proven", ""})
	})
}
