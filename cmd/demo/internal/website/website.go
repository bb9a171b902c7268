// Package website is the demo's sample website: what a company has before the sidecar comes. It shows what reached it,
// the host, the forwarded headers and the cookies, who is signed in, and a clock that is streamed (server-sent events), so that a visitor
// sees that the sidecar passes requests and answers on unchanged.
package website

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed templates static
var files embed.FS

// contentSecurityPolicy lets pages use what this site serves and nothing else.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Config is what a website needs.
type Config struct {
	MailDomain string   // of the addresses under the names
	Staff      []Person // for the page about the people
	Now        func() time.Time
	Tick       time.Duration // between two beats of the streamed clock; 0 means one second
}

// Person is one of the staff as the website tells it.
type Person struct{ Name, Role string }

// Website is a handler that serves the whole site.
type Website struct {
	config Config
	pages  map[string]*template.Template
	mux    *http.ServeMux
}

// page is what every template gets.
type page struct {
	Path, Title string
	Host        string // as the browser asked for it
	Person      string // who is signed in, as the sidecar says; "" for no one
	MailDomain  string
	Year        int
	Data        any
}

// New parses the templates and lays out the routes.
func New(config Config) (*Website, error) {
	if config.Tick == 0 {
		config.Tick = time.Second
	}
	w := &Website{config: config, pages: map[string]*template.Template{}, mux: http.NewServeMux()}
	for _, name := range []string{"home", "clock", "people", "request", "missing"} {
		parsed, err := template.ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parsing the website's page %s: %w", name, err)
		}
		w.pages[name] = parsed
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("opening the website's files: %w", err)
	}
	w.mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	page := func(status int, name, title string, data any) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { w.render(rw, r, status, name, title, data) }
	}
	w.mux.HandleFunc("GET /{$}", page(http.StatusOK, "home", "Public clocks since 1874", nil))
	w.mux.HandleFunc("GET /clock", page(http.StatusOK, "clock", "The clock in the yard", nil))
	w.mux.HandleFunc("GET /clock/beats", w.serveBeats)
	w.mux.HandleFunc("GET /people", page(http.StatusOK, "people", "The people", config.Staff))
	w.mux.HandleFunc("GET /request", w.serveRequest)
	w.mux.HandleFunc("GET /request.json", w.serveRequestJSON)
	w.mux.HandleFunc("/", page(http.StatusNotFound, "missing", "No such page", nil))
	return w, nil
}

// ServeHTTP serves the site.
func (w *Website) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.mux.ServeHTTP(rw, r)
}

func (w *Website) serveRequest(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	w.render(rw, r, http.StatusOK, "request", "What reached us", receive(r))
}

// render writes a whole page or, when its template fails, a plain 500: never half a page.
func (w *Website) render(rw http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	var body bytes.Buffer
	err := w.pages[name].ExecuteTemplate(&body, "layout", page{
		Path: r.URL.Path, Title: title, Host: r.Host, Person: cmp.Or(r.Header.Get("Remote-Name"), r.Header.Get("Remote-User")), MailDomain: w.config.MailDomain, Year: w.config.Now().Year(), Data: data,
	})
	if err != nil {
		http.Error(rw, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = body.WriteTo(rw) // fails only when the visitor has left
}

// serveBeats streams the time, one event a tick (HTML standard, server-sent events), until the visitor leaves or the
// server stops. A proxy that kept answers back to fill a buffer would make the clock stand still.
func (w *Website) serveBeats(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(rw)
	ticker := time.NewTicker(w.config.Tick)
	defer ticker.Stop()
	for {
		if _, err := fmt.Fprintf(rw, "data: %s\n\n", w.config.Now().UTC().Format(time.RFC3339Nano)); err != nil {
			return
		}
		if err := stream.Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
