package route_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/web"

	"github.com/rs/zerolog"
)

// TestFail: what errors are answered with, by the class of the route.
func TestFail(t *testing.T) {
	t.Parallel()
	files, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	respond := route.Responder{
		Web: files, Log: zerolog.New(&log),
		ClientAddr: func(*http.Request) netip.Addr { return netip.Addr{} }, RequestID: func(*http.Request) string { return "r1" },
	}
	host := &identity.Host{Name: "example.test", Role: identity.Provider}
	cause := errors.New("no route to 10.1.2.3")
	for name, test := range map[string]struct {
		err         error
		status      int
		code, words string
		retry       string
	}{
		"sessions":              {fmt.Errorf("%w: %w", session.ErrUnavailable, cause), 503, "sessions_unavailable", "cannot be checked", "5"},
		"directory":             {fmt.Errorf("%w: %w", identity.ErrUnavailable, cause), 503, "directory_unavailable", "The directory of example.test", "30"},
		"keys":                  {fmt.Errorf("use x: %w", keys.ErrNotReady), 503, "keys_not_ready", "keys of this identity provider", "5"},
		"sessions without keys": {fmt.Errorf("%w: %w", session.ErrUnavailable, keys.ErrNotReady), 503, "sessions_unavailable", "cannot be checked", "5"},
		"with a link":           {&route.Error{Cause: fmt.Errorf("%w: %w", identity.ErrUnavailable, cause), Link: "/again"}, 503, "directory_unavailable", "Try again", "30"},
		"unknown":               {cause, 500, "internal", "Something went wrong here. The error has been logged.", ""},
		"without a sentence":    {&route.Error{Status: 418, Code: "teapot"}, 418, "teapot", "Something went wrong here.", ""},
		"arguments":             {&route.Error{Status: 405, Code: "method_not_allowed", Args: map[string]string{"method": "{host}"}}, 405, "method_not_allowed", "take {host} requests", ""},
		"not found":             {route.NotFound(host), 404, "not_found", "nothing at this address", ""},
		"not found, disabled":   {route.NotFound(&identity.Host{Role: identity.Disabled}), 404, "not_found", "switched off at example.test", ""},
	} {
		if got := route.Code(test.err, "well"); got != test.code {
			t.Errorf("%s: code %s", name, got)
		}
		for class, want := range map[route.Class]string{
			route.API: `{"error":"` + test.code + `","message":"`, route.Verification: `{"reason":"`, route.Page: "<h1>",
		} {
			recorder := httptest.NewRecorder()
			respond.Fail(recorder, httptest.NewRequest(http.MethodGet, "/persona/x", nil), host, class, test.err)
			body := recorder.Body.String()
			if recorder.Code != test.status || !strings.Contains(body, want) || class == route.Page && !strings.Contains(body, test.words) {
				t.Errorf("%s: class %d answers %d %s", name, class, recorder.Code, body)
			}
			if strings.Contains(body, "10.1.2.3") {
				t.Errorf("%s: class %d tells the cause", name, class)
			}
			if header := recorder.Header(); header.Get("Retry-After") != test.retry || header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: class %d has the headers %v", name, class, header)
			}
		}
	}
	if !strings.Contains(log.String(), "10.1.2.3") {
		t.Error("the cause is not logged")
	}
	if got := route.Code(nil, "well"); got != "well" {
		t.Errorf("no error has the code %s", got)
	}
}
