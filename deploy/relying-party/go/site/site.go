// Package site is a website that signs people in with persona, as small as it can be: the part of
// the Go example that a program of your own would take over.
//
// It is the relying party in the flow of a verification: its page posts an assertion, and the
// identity host's verifier says whose it is.
package site

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"log"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"persona-sidecar/deploy/relying-party/pages"
)

const (
	sessionLifetime = 8 * time.Hour
	maxForm         = 64 << 10 // bytes
)

// Config is what a Site needs.
type Config struct {
	Persona  string       // origin of the identity host, https://example.com
	Audience string       // the site's own origin as browsers see it, never taken from a request
	Verifier string       // Persona + "/persona/v2", or another URL at which the server reaches it
	Client   *http.Client // asks the verifier; give it a timeout
	Log      *log.Logger
}

// Site is the website.
type Site struct {
	Config
	mux    *http.ServeMux
	pages  *template.Template
	secret []byte // makes a session's token from its id

	mu       sync.Mutex
	sessions map[string]session // of the people who are signed in, by the id in their cookie
}

type session struct {
	email string
	ends  time.Time
}

// New makes a website.
func New(config Config) (*Site, error) {
	parsed, err := template.ParseFS(pages.Files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the pages: %w", err)
	}
	s := &Site{Config: config, mux: http.NewServeMux(), pages: parsed, secret: []byte(rand.Text()), sessions: map[string]session{}}
	s.mux.HandleFunc("GET /{$}", s.home)
	s.mux.HandleFunc("POST /sign-in", s.signIn)
	s.mux.HandleFunc("POST /sign-out", s.signOut)
	s.mux.Handle("GET /sign-in.js", http.FileServerFS(pages.Files))
	s.mux.Handle("GET /style.css", http.FileServerFS(pages.Files))
	return s, nil
}

// ServeHTTP serves the website.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	id := s.id(r)
	if id == "" {
		id = s.newID(w)
	}
	s.mu.Lock()
	visitor := s.sessions[id]
	s.mu.Unlock()
	page := "signed-in.html"
	if time.Now().After(visitor.ends) {
		page = "signed-out.html"
	}
	// All that include.js needs is its host in script-src.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+s.Persona+
		"; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	data := struct{ Persona, CSRF, Email string }{s.Persona, s.token(id), visitor.email}
	if err := s.pages.ExecuteTemplate(w, page, data); err != nil {
		s.Log.Printf("writing a page: %v", err)
	}
}

func (s *Site) signIn(w http.ResponseWriter, r *http.Request) {
	if !s.ours(w, r) {
		return
	}
	verdict, err := s.verify(r.Context(), r.PostFormValue("assertion"))
	switch {
	case err != nil:
		s.Log.Printf("asking the verifier: %v", err)
		http.Error(w, "Signing in is not possible at the moment.", http.StatusBadGateway)
	case verdict.Status != "okay":
		s.Log.Printf("an assertion was refused: %q", verdict.Reason)
		http.Error(w, "You were not signed in.", http.StatusForbidden)
	default:
		s.renew(w, r, verdict.Email)
	}
}

func (s *Site) signOut(w http.ResponseWriter, r *http.Request) {
	if s.ours(w, r) {
		s.renew(w, r, "")
	}
}

// renew begins a session under a new id, because an attacker may know the one from before.
func (s *Site) renew(w http.ResponseWriter, r *http.Request, email string) {
	old, id := s.id(r), s.newID(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sessions, func(id string, v session) bool { return id == old || time.Now().After(v.ends) })
	if email != "" {
		s.sessions[id] = session{email, time.Now().Add(sessionLifetime)}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// verdict is what the verifier answers.
type verdict struct {
	Status string `json:"status"` // okay or failure
	Email  string `json:"email"`
	Reason string `json:"reason"`
}

// verify has an assertion verified. The audience stops another site from using the assertions that
// it was given.
func (s *Site) verify(ctx context.Context, assertion string) (v verdict, err error) {
	body, err := json.Marshal(map[string]string{"assertion": assertion, "audience": s.Audience})
	if err != nil {
		return v, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Verifier, bytes.NewReader(body))
	if err != nil {
		return v, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.Client.Do(request)
	if err != nil {
		return v, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK { // as every verdict is
		return v, fmt.Errorf("it answered %s", response.Status)
	}
	return v, json.NewDecoder(response.Body).Decode(&v)
}

// ours reports whether a form comes from a page of this site, and refuses it otherwise.
func (s *Site) ours(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id := s.id(r)
	if id != "" && hmac.Equal([]byte(r.PostFormValue("csrf")), []byte(s.token(id))) {
		return true
	}
	http.Error(w, "This page was too old. Go back, load it anew and try again.", http.StatusForbidden)
	return false
}

func (s *Site) token(id string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil))
}

// cookie is the name of the site's cookie. With __Host- no neighbour of the site can set it.
func (s *Site) cookie() (name string, secure bool) {
	if strings.HasPrefix(s.Audience, "https:") {
		return "__Host-session", true
	}
	return "session", false
}

// id returns the id in the visitor's cookie, "" for none.
func (s *Site) id(r *http.Request) string {
	name, _ := s.cookie()
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (s *Site) newID(w http.ResponseWriter) string {
	name, secure := s.cookie()
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: name, Value: id, Path: "/", Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return id
}
