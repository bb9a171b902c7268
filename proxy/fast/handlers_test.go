package fast_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
)

// website answers by the path, and keeps what reached it. The order of the fields is not
// compared: net/http's server does not keep it.
func (w *way) website(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var fields []string
	for _, h := range []http.Header{r.Header, r.Trailer} {
		for name, values := range h {
			fields = append(fields, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(fields)
	if err == nil { // else it depends on when the client has left
		w.mu.Lock()
		w.reached = append(w.reached, fmt.Sprintf("%s %s %s %d %q %q", r.Method, r.RequestURI, r.Host, r.ContentLength, fields, body))
		w.mu.Unlock()
	}
	h := rw.Header()
	switch path, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); path {
	case "status":
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
		rw.WriteHeader(min(max(status, 200), 999))
	case "chunked":
		h.Set("X-Streamed", "1")
		h.Set("Trailer", "X-Trailer")
		io.WriteString(rw, "first")
		http.NewResponseController(rw).Flush()
		io.WriteString(rw, "second")
		h.Set("X-Trailer", "1")
		h.Set(http.TrailerPrefix+"Set-Cookie", "a=b")
	case "interim":
		h.Set("Link", "</x>")
		rw.WriteHeader(http.StatusEarlyHints)
		io.WriteString(rw, "hinted")
	case "large":
		h.Set("X-Streamed", "1")
		rw.Write(bytes.Repeat([]byte("0123456789abcdef"), 5000))
	case "cut":
		h.Set("Content-Length", "100")
		io.WriteString(rw, "short")
	case "cookies":
		h["Set-Cookie"] = []string{"a=b", "__Host-persona=c", "d=e"}
		h["Cache-Control"] = []string{`public, x="a, public"`, "s-maxage=5"}
		h["X-Empty"] = []string{""}
		h["X-High"] = []string{"caf\xe9"}
		h["Content-Type"] = nil
		io.WriteString(rw, "<html>")
	default:
		fmt.Fprintf(rw, "page of %s %s", r.Method, r.RequestURI)
	}
}

// gate admits all but one, and tells the website who is signed in where the query says so.
func gate(w http.ResponseWriter, r *http.Request, _ bool) proxy.Passage {
	rec := middleware.FromContext(r.Context())
	if rec.Target.Path == "/secret" {
		w.Header().Set("Set-Cookie", "a=; Max-Age=0")
		http.Error(w, "sign in", http.StatusUnauthorized)
		return proxy.Answered
	}
	if strings.Contains(rec.Target.Query, "anna") {
		rec.Visit = &middleware.Visit{
			Fields: []middleware.VisitField{{Name: "Remote-User", Value: "anna"}, {Name: "X-Staff", Value: "\xc3\x84nne"}},
			Hidden: []string{"sid"}, SetCookies: []string{"site=1; Path=/", "sid=; Max-Age=0"}, Private: true,
		}
	}
	return proxy.Admitted
}

// own answers as our own handlers do, in more ways than they do.
func own(rw http.ResponseWriter, r *http.Request) {
	h, control := rw.Header(), http.NewResponseController(rw)
	text := func(n int) { rw.Write(bytes.Repeat([]byte("<p>"), n/3+1)[:n]) }
	switch kind, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/own/"), "/"); kind {
	case "size":
		n, _ := strconv.Atoi(arg)
		text(min(max(n, 0), 100_000))
	case "sizes":
		for range 5 {
			text(1000)
		}
	case "status":
		n, _ := strconv.Atoi(arg)
		h.Set("Content-Type", "text/x")
		h.Set("Content-Length", "3")
		rw.WriteHeader(min(max(n, 200), 999))
		h.Set("X-Late", "1")
		text(3)
	case "interim":
		h.Set("Link", "</x>")
		rw.WriteHeader(http.StatusEarlyHints)
		h.Set("X-Later", "1")
		text(3)
	case "flush":
		text(3)
		control.Flush()
		text(5)
	case "length":
		h.Set("Content-Length", "10")
		text(5)
	case "surplus":
		h.Set("Content-Length", "2")
		_, err := rw.Write([]byte("four"))
		fmt.Fprint(rw, err)
	case "close":
		h.Set("Connection", "close")
		text(5)
	case "odd":
		h["X-Two"] = []string{"a", "b"}
		h["x-small"] = []string{" c\r\nd "}
		h["Content-Type"] = nil
		h["Date"] = []string{"never"}
		text(5)
	case "encoded":
		h.Set("Content-Encoding", "x")
		text(5)
	case "panic":
		if arg != "" {
			text(3000)
		}
		panic("own")
	case "read":
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%q %v", body, err)
	case "half":
		n, err := r.Body.Read(make([]byte, 4))
		fmt.Fprint(rw, n > 0, err)
	case "shut":
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 4))
		fmt.Fprint(rw, err)
	case "duplex":
		control.EnableFullDuplex()
		text(5)
		control.Flush()
		io.Copy(rw, r.Body)
	case "seen":
		fmt.Fprintf(rw, "%s %v %s %q %v %d %s %v %v %s %q", r.Method, r.URL, r.Proto, r.Header, r.TransferEncoding, r.ContentLength, r.Host, r.Close, r.Trailer, r.RemoteAddr, r.TLS.ServerName)
	}
}
