package errorpage_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy/errorpage"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		accept []string
		html   bool
	}{
		{"browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, true},
		{"upper case", []string{"Text/HTML"}, true},
		{"second line", []string{"image/png", "text/html;q=0.1"}, true},
		{"command line", []string{"*/*"}, false},
		{"none", nil, false},
		{"script", []string{"application/json"}, false},
		{"refused", []string{"text/html;q=0, text/plain"}, false},
		{"refused with decimals", []string{"text/html; Q=0.000"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Accept"] = test.accept
			w := httptest.NewRecorder()
			w.Header().Set("Set-Cookie", "left=over")
			errorpage.Write(w, r, errorpage.Page{
				Status: 502, Code: "unreachable", Args: map[string]string{"site": "<Site>"}, RequestID: "r1", RetryAfter: 30 * time.Second,
			})
			if w.Code != 502 {
				t.Errorf("status %d", w.Code)
			}
			body, kind := w.Body.String(), w.Header().Get("Content-Type")
			if got := strings.HasPrefix(kind, "text/html"); got != test.html {
				t.Errorf("content type %q", kind)
			}
			if test.html && (strings.Contains(body, "<Site>") || !strings.Contains(body, "&lt;Site&gt;")) {
				t.Errorf("not escaped: %s", body)
			}
			for _, want := range []string{"Try again in a moment.", "r1"} {
				if !strings.Contains(body, want) {
					t.Errorf("body lacks %q: %s", want, body)
				}
			}
			for name, want := range map[string]string{
				"Set-Cookie": "", "Cache-Control": "no-store", "Retry-After": "30",
				"Cross-Origin-Opener-Policy": "", "Vary": "Accept",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("policy %q", csp)
			}
		})
	}
}

func TestWriteHead(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	errorpage.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), errorpage.Page{Status: 405, Code: "no_tunnel", Allow: "GET"})
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" || w.Header().Get("Allow") != "GET" {
		t.Errorf("%d bytes, header %v", w.Body.Len(), w.Header())
	}
}

// Every code that the edge uses has its sentences, and an unknown one has some.
func TestSentences(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"misdirected": "not served here", "bad_target": "not well-formed", "bad_request": "not well-formed", "no_tunnel": "no tunnels",
		"no_certificate": "Not available yet", "untrusted_proxy": "encrypted connection", "unreachable": "www.example.test is unavailable",
		"too_slow": "www.example.test took too long", "restarting": "www.example.test is restarting", "loop": "www.example.test is misconfigured",
		"request_timeout": "did not arrive", "internal": "has been logged", "no such code": "has been logged",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Accept-Language", "tlh, *;q=0.5")
		errorpage.Write(w, r, errorpage.Page{Status: 500, Code: code, Args: map[string]string{"site": "www.example.test"}})
		if body := w.Body.String(); !strings.Contains(body, want) || !strings.Contains(body, `<html lang="en" dir="ltr">`) || strings.Contains(body, "{") {
			t.Errorf("%s: %s", code, body)
		}
	}
}
