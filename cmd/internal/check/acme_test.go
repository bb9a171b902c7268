package check_test

import (
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
)

const acmeHosts = `
state_dir: state
tls: {acme: {directory: "https://acme.test/dir"}}
domains:
  - {name: example.test, upstream: "http://127.0.0.1:1"}
`

func acmeDirectory(body string) http.HandlerFunc {
	return text(http.StatusOK, "application/json", body)
}

func TestACME(t *testing.T) {
	t.Parallel()
	const whole = `{"newNonce":"https://acme.test/n","newAccount":"a","newOrder":"o","meta":{"termsOfService":"https://acme.test/terms","externalAccountRequired":EAB}}`
	for name, test := range map[string]struct {
		prepare func(*internet)
		yaml    string
		want    want
	}{
		"good":       {func(w *internet) { w.serve("acme.test", acmeDirectory(strings.Replace(whole, "EAB", "false", 1))) }, acmeHosts, want{"ACME directory", report.OK, "its terms: https://acme.test/terms", ""}},
		"gone":       {func(*internet) {}, acmeHosts, want{"ACME directory", report.Failed, "DNS knows no address of acme.test", "correct the host in tls.acme.directory"}},
		"down":       {func(w *internet) { w.place("acme.test") }, acmeHosts, want{"ACME directory", report.Failed, "refused", "is tls.acme.directory right, and may this machine connect to acme.test?"}},
		"in trouble": {func(w *internet) { w.serve("acme.test", http.HandlerFunc(text(503, "text/plain", "maintenance"))) }, acmeHosts, want{"ACME directory", report.Failed, "answers 503: maintenance", "Try again later"}},
		"a page":     {func(w *internet) { w.serve("acme.test", acmeDirectory("<html>")) }, acmeHosts, want{"ACME directory", report.Failed, "is no ACME directory", "tls.acme.directory"}},
		"untrusted": {func(w *internet) {
			w.serveTLS("acme.test", newInternet(w.t).authority.TLS(w.t, "acme.test"), acmeDirectory(whole))
		}, acmeHosts, want{"ACME directory", report.Failed, "unknown authority", "tls.acme.ca_file"}},
		"needs binding": {func(w *internet) { w.serve("acme.test", acmeDirectory(strings.Replace(whole, "EAB", "true", 1))) }, acmeHosts, want{"ACME directory", report.Failed, "bound", "tls.acme.eab_key_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			test.prepare(world)
			look(t, world.checker(load(t, t.TempDir(), test.yaml)).Everything()).expect(t, test.want)
		})
	}
}
