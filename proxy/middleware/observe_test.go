package middleware_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// TestObserve: observe is called once for each request, with what the access log
// says of it and nothing about persons.
func TestObserve(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    middleware.Served
	}{
		"answered": {func(w http.ResponseWriter, r *http.Request) {
			rec := middleware.FromContext(r.Context())
			rec.Site, rec.Handler = "example.com", "upstream"
			w.WriteHeader(http.StatusTeapot)
		}, middleware.Served{Site: "example.com", Handler: "upstream", Status: http.StatusTeapot, Took: 2 * time.Second}},
		"nothing said": {func(http.ResponseWriter, *http.Request) {}, middleware.Served{Status: http.StatusOK, Took: 2 * time.Second}},
		"panicked":     {func(http.ResponseWriter, *http.Request) { panic("x") }, middleware.Served{Status: http.StatusInternalServerError, Took: 2 * time.Second}},
		"client left":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, middleware.Served{Status: 499, Took: 2 * time.Second}},
		"website broke": {func(_ http.ResponseWriter, r *http.Request) {
			middleware.FromContext(r.Context()).Fail(http.ErrBodyNotAllowed, "")
			panic(http.ErrAbortHandler)
		}, middleware.Served{Status: http.StatusOK, Took: 2 * time.Second}},
		"upgraded": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) }, middleware.Served{Status: http.StatusSwitchingProtocols, Upgraded: true, Took: 2 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan middleware.Served, 10)
			ticks := make(chan time.Time, 2)
			begin := time.Unix(1_000_000, 0)
			ticks <- begin
			ticks <- begin.Add(2 * time.Second)
			d := open(t, middleware.Config{
				Observe: func(s middleware.Served) { told <- s },
				Now:     func() time.Time { return <-ticks },
			}, test.handler)
			if response, err := d.client.Get("http://" + d.addr); err == nil {
				response.Body.Close()
			}
			select {
			case got := <-told:
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			case <-time.After(proxytest.Patience):
				t.Fatal("observe was not called")
			}
		})
	}
}
