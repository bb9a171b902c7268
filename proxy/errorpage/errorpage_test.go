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
				Status: 502, Title: "<Site> is away", Text: "Come back.", RequestID: "r1", RetryAfter: 30 * time.Second,
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
			for _, want := range []string{"Come back.", "r1"} {
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
	errorpage.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), errorpage.Page{Status: 405, Title: "No", Allow: "GET"})
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" || w.Header().Get("Allow") != "GET" {
		t.Errorf("%d bytes, header %v", w.Body.Len(), w.Header())
	}
}
