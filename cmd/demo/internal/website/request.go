package website

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// sidecarCookie is the sign-in cookie of the sidecar, which must never reach a website behind it.
const sidecarCookie = "__Host-persona"

// Received is a request as it reached the website.
type Received struct {
	Method        string   `json:"method"`
	Target        string   `json:"target"` // path and query, byte for byte
	Host          string   `json:"host"`
	Peer          string   `json:"peer"` // the address that connected: the sidecar's
	Headers       []Header `json:"headers"`
	Cookies       []string `json:"cookies"` // names only: values are secret
	SidecarCookie bool     `json:"sidecar_cookie"`
}

// Header is one header field.
type Header struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Forwarded bool   `json:"forwarded"` // written by what stands in front
}

// Get returns the value of a header, "" when it did not come.
func (r Received) Get(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

func receive(r *http.Request) Received {
	got := Received{Method: r.Method, Target: r.RequestURI, Host: r.Host, Peer: r.RemoteAddr, Cookies: []string{}}
	for name, values := range r.Header {
		if name == "Cookie" {
			continue
		}
		got.Headers = append(got.Headers, Header{Name: name, Value: strings.Join(values, ", "), Forwarded: forwarded(name)})
	}
	slices.SortFunc(got.Headers, func(a, b Header) int {
		if a.Forwarded != b.Forwarded {
			if a.Forwarded {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, c := range r.Cookies() {
		got.Cookies = append(got.Cookies, c.Name)
		got.SidecarCookie = got.SidecarCookie || c.Name == sidecarCookie
	}
	return got
}

// forwarded tells the headers by which a proxy says for whom it asks.
func forwarded(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Remote-") || name == "X-Persona-Assertion" ||
		slices.Contains([]string{"Forwarded", "Via", "X-Real-Ip", "X-Request-Id", "Traceparent"}, name)
}

func (w *Website) serveRequestJSON(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(rw)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(receive(r)) // fails only when the visitor has left
}
