package certs_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

// hourly makes every pause an hour: within a test there is no second attempt.
func hourly(int) time.Duration { return time.Hour }

// TestRestartLoop: a program that is restarted again and again asks the ACME
// server no more often than one that runs on, and says why.
func TestRestartLoop(t *testing.T) {
	t.Parallel()
	const name = "restartloop.test"
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	clock := newClock()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	server.AnswerOrders(http.StatusTooManyRequests)
	run := func() *certs.Status {
		config := site.config(server, storage, name)
		config.RetryDelay, config.Now = hourly, clock.Now
		site.start(config)
		eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
		status := site.acme.Status()[0]
		site.stop()
		site = listenAgain(t, site)
		return &status
	}
	run()
	asked := server.Asked()
	if asked == 0 {
		t.Fatal("the first start asked for nothing")
	}
	first := clock.Now()
	for range 5 {
		clock.add(time.Minute)
		status := run()
		mustContain(t, "status", status.Problem, "rateLimited")
		if !status.Retry.Equal(first.Add(time.Hour)) {
			t.Errorf("the next order is planned at %v, want an hour after the first, %v", status.Retry, first.Add(time.Hour))
		}
	}
	if server.Asked() != asked {
		t.Errorf("five restarts asked %d times more", server.Asked()-asked)
	}

	// Once the time is over it is asked again, and the next pause counts on.
	clock.add(time.Hour)
	run()
	if server.Asked() == asked {
		t.Error("never asked again")
	}
	server.AnswerOrders(0)
	clock.add(time.Hour)
	site.start(func() certs.ACMEConfig {
		config := site.config(server, storage, name)
		config.RetryDelay, config.Now = hourly, clock.Now
		return config
	}())
	site.mustServe(name, server.IssuerRoots())
	eventually(t, "the failures are forgotten", func() bool { return len(records(t, storage)) == 0 })
}

// records are the names of the orders that the storage remembers.
func records(t *testing.T, storage *certmagic.FileStorage) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(storage.Path, "persona", "orders", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestRestartLogged: the log says what the program waits for, how long, and
// how to try at once.
func TestRestartLogged(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	server.AnswerOrders(http.StatusInternalServerError)
	config := before.config(server, storage, "restarttold.test")
	config.RetryDelay = hourly
	before.start(config)
	eventually(t, "a problem in the status", func() bool { return before.acme.Status()[0].Problem != "" })
	before.stop()
	server.AnswerOrders(0)

	after := listenAgain(t, before)
	config = after.config(server, storage, "restarttold.test")
	config.RetryDelay = hourly
	after.start(config)
	eventually(t, "a line in the log", func() bool { return strings.Contains(after.log.String(), "so the next one waits") })
	mustContain(t, "log", after.log.String(), "serverInternal", `"retry_in":"1h0m0s"`, `"failures":1`)
	after.stop()

	record := records(t, storage)
	if len(record) != 1 {
		t.Fatalf("records %v, want one", record)
	}
	mustContain(t, "hint", after.log.String(), strings.TrimPrefix(record[0], storage.Path+"/"))
	if err := os.Remove(record[0]); err != nil {
		t.Fatal(err)
	}
	again := listenAgain(t, after)
	again.start(again.config(server, storage, "restarttold.test"))
	again.mustServe("restarttold.test", server.IssuerRoots())
}

// TestRateLimitedPause: "asked too often" is answered with a longer pause than
// another failure, also by the next start.
func TestRateLimitedPause(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]time.Duration{
		http.StatusInternalServerError: certs.RetryDelay(1),
		http.StatusTooManyRequests:     certs.RetryDelay(6),
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			now := time.Now()
			site := listen(t)
			server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
			server.AnswerOrders(status)
			for range 2 {
				config := site.config(server, storage, strconv.Itoa(status)+".pause.test")
				config.RetryDelay, config.Now = certs.RetryDelay, func() time.Time { return now }
				site.start(config)
				eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
				if retry := site.acme.Status()[0].Retry; !retry.Equal(now.Add(want)) {
					t.Errorf("the next order is planned after %v, want %v", retry.Sub(now), want)
				}
				site.stop()
				site = listenAgain(t, site)
			}
		})
	}
}

// TestUnansweredCostsNothing: an ACME server that could not be reached counted
// nothing, so a restart asks at once.
func TestUnansweredCostsNothing(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	server.Down()
	config := before.config(server, storage, "unanswered.test")
	config.RetryDelay = hourly
	before.start(config)
	eventually(t, "a problem in the status", func() bool { return before.acme.Status()[0].Problem != "" })
	before.stop()

	server.Up()
	after := listenAgain(t, before)
	config = after.config(server, storage, "unanswered.test")
	config.RetryDelay = hourly
	after.start(config)
	after.mustServe("unanswered.test", server.IssuerRoots())
}

// TestKilledInAnOrder: what a killed program left says that an order may be under
// way. A clock that was ahead then, and a damaged record, hold nothing up for long.
func TestKilledInAnOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	record := func(last time.Time) string { return `{"count":1,"last":"` + last.Format(time.RFC3339Nano) + `"}` }
	for label, test := range map[string]struct {
		record string
		waits  bool
	}{
		"a minute ago":       {record(now.Add(-time.Minute)), true},
		"two hours ago":      {record(now.Add(-2 * time.Hour)), false},
		"by a clock too far": {record(now.Add(24 * time.Hour)), true},
		"damaged":            {`{"count":`, false},
		"empty":              {``, false},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name := strings.ReplaceAll(label, " ", "-") + ".killed.test"
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			site := listen(t)
			server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
			issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
			key := "persona/orders/" + certmagic.StorageKeys.Safe(issuer) + "/" + name + ".json"
			if err := storage.Store(t.Context(), key, []byte(test.record)); err != nil {
				t.Fatal(err)
			}
			config := site.config(server, storage, name)
			config.RetryDelay, config.Now = hourly, func() time.Time { return now }
			site.start(config)
			if !test.waits {
				site.mustServe(name, server.IssuerRoots())
				return
			}
			eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
			status := site.acme.Status()[0]
			mustContain(t, "status", status.Problem, "in the middle of an order")
			if status.Retry.After(now.Add(time.Hour)) || server.Asked() != 0 {
				t.Errorf("status %+v after %d orders, want none and to wait an hour at most", status, server.Asked())
			}
		})
	}
}

// TestUnwritableStorage: where the certificate could not be stored none is ordered.
func TestUnwritableStorage(t *testing.T) {
	t.Parallel()
	storage := &fullStorage{FileStorage: &certmagic.FileStorage{Path: t.TempDir()}}
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	site.start(site.config(server, storage, "unwritable.test"))
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	mustContain(t, "status", site.acme.Status()[0].Problem, "no space left on device")
	if server.Asked() != 0 {
		t.Errorf("%d orders", server.Asked())
	}
}

// TestRenewalNoted: a renewal that failed is noted for the next start.
func TestRenewalNoted(t *testing.T) {
	t.Parallel()
	name := freshName("renewalnoted")
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	before.start(before.config(server, storage, name))
	before.mustServe(name, server.IssuerRoots())
	before.stop()

	server.AnswerOrders(http.StatusTooManyRequests)
	after := listenAgain(t, before)
	after.start(overdue(after.config(server, storage, name)))
	eventually(t, "a failed renewal", func() bool { return after.acme.Status()[0].Problem != "" })
	record, err := os.ReadFile(records(t, storage)[0])
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, "record", string(record), `"count":6`, "rateLimited")
}

func overdue(config certs.ACMEConfig) certs.ACMEConfig {
	config.RenewalWindow = 0.999999999
	config.RetryDelay = hourly
	return config
}

// TestRenewalLoop: after a renewal failed, the next start serves the certificate
// on and does not ask again before its time. The record is written by hand: in one
// process, certmagic would not ask either.
func TestRenewalLoop(t *testing.T) {
	t.Parallel()
	name := freshName("renewalloop")
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	before.start(before.config(server, storage, name))
	before.mustServe(name, server.IssuerRoots())
	before.stop()
	asked := server.Asked()
	issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
	record := `{"count":1,"last":"` + time.Now().Format(time.RFC3339Nano) + `","cause":"as the test wants it"}`
	if err := storage.Store(t.Context(), "persona/orders/"+certmagic.StorageKeys.Safe(issuer)+"/"+name+".json", []byte(record)); err != nil {
		t.Fatal(err)
	}

	after := listenAgain(t, before)
	after.start(overdue(after.config(server, storage, name)))
	status := after.acme.Status()[0]
	if status.Problem != "as the test wants it" || status.Retry.IsZero() || status.NotAfter.IsZero() {
		t.Errorf("status %+v, want the problem, the time of the next attempt and the end of the certificate", status)
	}
	eventually(t, "a renewal that is put off", func() bool {
		return strings.Contains(after.log.String(), "the last renewal failed shortly before this start")
	})
	after.mustServe(name, server.IssuerRoots())
	if server.Asked() != asked {
		t.Errorf("the restart asked %d times more", server.Asked()-asked)
	}
}
