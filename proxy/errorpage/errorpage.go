package errorpage

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// Page is what the page says.
type Page struct {
	Status     int               // HTTP status
	Code       string            // of the sentences in locales/: what is wrong, what it means and what to do
	Args       map[string]string // for the {places} in the sentences
	RequestID  string            // by which the operator finds the log line; "": left out
	RetryAfter time.Duration     // when it is worth trying again, in whole seconds; 0: left out
	Allow      string            // the Allow field of a 405
	SetCookies []string          // lines of Set-Cookie
}

// Write answers r with the page, in the client's language: as HTML to those who
// accept HTML, as plain text to all others. Whatever header was prepared before is dropped. It must
// be called before anything of the answer was written.
func Write(w http.ResponseWriter, r *http.Request, p Page) {
	c := load()
	_, i := language.MatchStrings(c.matcher, r.Header["Accept-Language"]...)
	l := c.catalogues[i]
	said := l.sentence(p.Code, p.Args)
	var buf bytes.Buffer
	contentType := "text/html; charset=utf-8"
	if !acceptsHTML(r.Header["Accept"]) || c.page.Execute(&buf, struct {
		Lang, Dir, Title, Text, RequestID string
	}{l.Tag, l.Direction, said.Title, said.Text, p.RequestID}) != nil {
		contentType = "text/plain; charset=utf-8"
		buf.Reset()
		fmt.Fprintf(&buf, "%s\n%s\n", said.Title, said.Text)
		if p.RequestID != "" {
			fmt.Fprintf(&buf, "Request %s\n", p.RequestID)
		}
	}
	h := w.Header()
	clear(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.RetryAfter/time.Second)))
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if len(p.SetCookies) > 0 {
		h["Set-Cookie"] = p.SetCookies
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(buf.Bytes()) // a client that is gone needs no page
	}
}

// acceptsHTML reports whether an Accept field names HTML. The wildcard that
// command-line tools and scripts send does not count: they are served text.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(element, ";")
			kind = strings.ToLower(strings.TrimSpace(kind))
			if kind != "text/html" && kind != "application/xhtml+xml" {
				continue
			}
			quality := 1.0
			for param := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
				if q, err := strconv.ParseFloat(value, 64); strings.EqualFold(name, "q") && err == nil {
					quality = q
				}
			}
			if quality != 0 {
				return true
			}
		}
	}
	return false
}
