package errorpage

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page.html").Parse(source))

// Page is what the reader is told.
type Page struct {
	Status     int           // HTTP status
	Title      string        // one line, what is the matter
	Text       string        // what it means and what to do, without internals
	RequestID  string        // for the conversation with whoever runs the site; "": left out
	RetryAfter time.Duration // when it is worth trying again, in whole seconds; 0: left out
	Allow      string        // the Allow field of a 405
}

// Write answers r with the page: as HTML to those who accept HTML, as plain
// text to all others. Whatever header was prepared before is dropped. It must
// be called before anything of the answer was written.
func Write(w http.ResponseWriter, r *http.Request, p Page) {
	body, contentType := p.render(r)
	h := w.Header()
	clear(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
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
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a reader who is gone needs no page
	}
}

func (p Page) render(r *http.Request) (body []byte, contentType string) {
	var buf bytes.Buffer
	if acceptsHTML(r.Header["Accept"]) && page.Execute(&buf, p) == nil {
		return buf.Bytes(), "text/html; charset=utf-8"
	}
	buf.Reset()
	fmt.Fprintf(&buf, "%s\n%s\n", p.Title, p.Text)
	if p.RequestID != "" {
		fmt.Fprintf(&buf, "Request %s\n", p.RequestID)
	}
	return buf.Bytes(), "text/plain; charset=utf-8"
}

// acceptsHTML reports whether an Accept field names HTML. The wildcard that
// command-line tools and scripts send does not count: they are served text.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(element, ";")
			kind = strings.ToLower(strings.TrimSpace(kind))
			if (kind == "text/html" || kind == "application/xhtml+xml") && !refused(params) {
				return true
			}
		}
	}
	return false
}

// refused reports whether the parameters carry a quality of zero.
func refused(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		return err == nil && q == 0
	}
	return false
}
