package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// series reads /metrics: the value of each series of ours, of a histogram the number of its
// observations.
func (p *program) series(t testing.TB) map[string]float64 {
	t.Helper()
	status, body := p.admin(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d %s", status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("/metrics is not in Prometheus's text format: %v", err)
	}
	all := map[string]float64{}
	for name, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		for _, metric := range family.GetMetric() {
			if strings.HasPrefix(name, "persona_") {
				all[strings.TrimPrefix(name, "persona_")+labels(metric)] = value(metric)
			}
		}
	}
	return all
}

func labels(metric *dto.Metric) string {
	var pairs []string
	for _, label := range metric.GetLabel() {
		pairs = append(pairs, label.GetName()+"="+label.GetValue())
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func value(metric *dto.Metric) float64 {
	switch {
	case metric.Counter != nil:
		return metric.Counter.GetValue()
	case metric.Histogram != nil:
		return float64(metric.Histogram.GetSampleCount())
	}
	return metric.Gauge.GetValue()
}

// only leaves the series whose names begin with one of the prefixes.
func only(all map[string]float64, prefixes ...string) map[string]float64 {
	some := maps.Clone(all)
	maps.DeleteFunc(some, func(name string, _ float64) bool {
		return !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
	return some
}

// TestMetrics does a little of everything and finds exactly that in /metrics, and no person's name.
func TestMetrics(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+oneDomain(website(t).URL)+directoryYAML(t, folder, slapd))
	waitForKeys(t, p)
	apptest.Eventually(t, "the directory was looked at", func() bool {
		_, told := p.series(t)["degraded{name=corp,part=directory}"]
		return told
	})
	client := p.client(roots)

	get(t, client, "https://example.test/one")
	response, err := client.Get("https://example.test/two?alice@example.test")
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	leaf := response.TLS.PeerCertificates[0]
	get(t, client, "http://alice.other.test/")
	signIn(t, client, "alice", "wrong")
	response = postForm(t, client, "alice", ldaptest.Password)
	read(t, response)
	cookies := response.Cookies()
	post(t, client, cookies, "/persona/api/certificate", "application/json", certificateRequest(t, "alice@example.test"), http.StatusOK)
	post(t, client, cookies, "/persona/api/certificate", "application/json", certificateRequest(t, "bob@example.test"), http.StatusForbidden)
	post(t, client, cookies, "/persona/logout", "application/x-www-form-urlencoded", "", http.StatusOK)

	// The access log is written after the answer, and so is what is counted of it.
	want := map[string]float64{
		"http_requests_total{handler=upstream,site=example.test,status=2xx}":               2,
		"http_requests_total{handler=edge,site=none,status=4xx}":                           1,
		"http_requests_total{handler=identity,site=example.test,status=2xx}":               2,
		"http_requests_total{handler=identity,site=example.test,status=3xx}":               1,
		"http_requests_total{handler=identity,site=example.test,status=4xx}":               2,
		"http_request_duration_seconds{handler=upstream,site=example.test}":                2,
		"http_request_duration_seconds{handler=edge,site=none}":                            1,
		"http_request_duration_seconds{handler=identity,site=example.test}":                5,
		"sign_ins_total{host=example.test,result=refused}":                                 1,
		"sign_ins_total{host=example.test,result=ok}":                                      1,
		"certificate_requests_total{host=example.test,result=issued}":                      1,
		"certificate_requests_total{host=example.test,result=not_your_address}":            1,
		"sessions_revoked_total{host=example.test,reason=signed_out}":                      1,
		"directory_request_duration_seconds{directory=corp,operation=ping,result=ok}":      1,
		"directory_request_duration_seconds{directory=corp,operation=bind,result=refused}": 1,
		"directory_request_duration_seconds{directory=corp,operation=bind,result=ok}":      1,
		// Each person is found, and once allowed in, every entry with the same addresses; for each
		// certificate the person is read and the claims again.
		"directory_request_duration_seconds{directory=corp,operation=search,result=ok}": 7,
		"degraded{name=corp,part=directory}":                                            0,
		"degraded{name=,part=keys}":                                                     0,
		"degraded{name=example.test,part=certificate}":                                  0,
		"tls_certificate_expiry_timestamp_seconds{name=example.test}":                   float64(leaf.NotAfter.Unix()),
	}
	var got map[string]float64
	apptest.Eventually(t, "all requests are counted", func() bool {
		got = p.series(t)
		return got["http_request_duration_seconds{handler=identity,site=example.test}"] >= 5 || t.Failed()
	})
	if got["connections{}"] < 1 || got["requests_in_flight{}"] != 0 {
		t.Errorf("%v connections, %v requests under way", got["connections{}"], got["requests_in_flight{}"])
	}
	of := func(before, after string) string {
		return "{address=" + strings.TrimPrefix(slapd.LDAPSURL(), "ldaps://") + before + ",directory=corp" + after + ",server=" + slapd.LDAPSURL() + "}"
	}
	wantOfServer := map[string]float64{
		"directory_operations_waiting{directory=corp,operation=search}": 0, "directory_operations_waiting{directory=corp,operation=bind}": 0,
		"directory_server_up" + of("", ""):                                        1,
		"directory_server_connections" + of("", ",operation=search") + "idle":     1,
		"directory_server_connections" + of("", ",operation=search") + "in_use":   0,
		"directory_server_connections" + of("", ",operation=bind") + "idle":       1,
		"directory_server_connections" + of("", ",operation=bind") + "in_use":     0,
		"directory_server_request_duration_seconds" + of("", ",operation=search"): 10, // the ping and two for the schema, too
		"directory_server_request_duration_seconds" + of("", ",operation=bind"):   2,
	}
	for _, fault := range servers.Faults() {
		wantOfServer["directory_server_errors_total"+of(",cause="+string(fault), "")] = 0
	}
	ofServer := map[string]float64{}
	for name, value := range only(got, "directory_server_", "directory_operations_") {
		ofServer[strings.NewReplacer(",state=idle}", "}idle", ",state=in_use}", "}in_use").Replace(name)] = value
		delete(got, name)
	}
	if diff := cmp.Diff(wantOfServer, ofServer); diff != "" {
		t.Errorf("of the directory's server (-want +got):\n%s", diff)
	}
	maps.DeleteFunc(got, func(name string, _ float64) bool {
		return strings.HasPrefix(name, "build_info{") || name == "connections{}" || name == "requests_in_flight{}"
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if builds := only(p.series(t), "build_info{"); len(builds) != 1 || !strings.Contains(fmt.Sprint(builds), "version=test}:1") {
		t.Errorf("build info %v", builds)
	}
	_, body := p.admin(t, "/metrics")
	body = regexp.MustCompile(`(?m)^persona_directory_server_.*$`).ReplaceAllString(body, "") // 127.0.0.1 is the directory, too
	for _, private := range []string{"alice", "other.test", "127.0.0.1", "/one"} {
		if strings.Contains(body, private) {
			t.Errorf("/metrics has %q:\n%s", private, body)
		}
	}
	for _, of := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(body, "\n"+of) {
			t.Errorf("/metrics lacks %s", of)
		}
	}
}

// TestMetricsOfOutages: a website that is down and a directory that is dead show, each by its name.
func TestMetricsOfOutages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+oneDomain(fmt.Sprintf("http://127.0.0.1:%d", apptest.FreePort(t)))+deadDirectory)
	waitForKeys(t, p)
	client := p.client(roots)
	if status, _ := get(t, client, "https://example.test/"); status != http.StatusBadGateway {
		t.Errorf("a website that is down answers %d", status)
	}
	if status, _ := signIn(t, client, "alice", ldaptest.Password); status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in answers %d", status)
	}
	var got map[string]float64
	apptest.Eventually(t, "the outages show", func() bool {
		got = p.series(t)
		return got["degraded{name=corp,part=directory}"] == 1 && got["http_request_duration_seconds{handler=identity,site=example.test}"] == 1
	})
	want := map[string]float64{
		"http_requests_total{handler=upstream,site=example.test,status=5xx}":                     1,
		"http_requests_total{handler=identity,site=example.test,status=5xx}":                     1,
		"upstream_errors_total{cause=refused,site=example.test}":                                 1,
		"sign_ins_total{host=example.test,result=directory_unavailable}":                         1,
		"directory_request_duration_seconds{directory=corp,operation=search,result=unavailable}": 1,
		"directory_request_duration_seconds{directory=corp,operation=ping,result=unavailable}":   1,
		"degraded{name=corp,part=directory}":                                                     1,
		"degraded{name=,part=keys}":                                                              0,
		"degraded{name=example.test,part=certificate}":                                           0,
	}
	if diff := cmp.Diff(want, only(got, "http_requests_total", "upstream_errors", "sign_ins", "directory_request", "degraded")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// post sends a request of our own pages with the cookies of a session.
func post(t *testing.T, client *http.Client, cookies []*http.Cookie, path, contentType, body string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Origin", "https://example.test")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer := read(t, response); response.StatusCode != status {
		t.Fatalf("POST %s answers %d %s, want %d", path, response.StatusCode, answer, status)
	}
}

// certificateRequest is what the provisioning page posts for a fresh key.
func certificateRequest(t *testing.T, email string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{
		"email": email, "duration": 3600,
		"public_key": map[string]string{"algorithm": "RS", "n": key.N.String(), "e": fmt.Sprint(key.E)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(request)
}
