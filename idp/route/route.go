package route

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"persona-sidecar/idp/web"
)

// Handler answers a request. It writes a complete answer or returns an error,
// never both. An error that is no *[Error] and wraps none of the sentinels that
// [Responder.Fail] knows is answered with status 500.
type Handler func(http.ResponseWriter, *http.Request) error

// Route is one exactly spelled path of a host.
type Route struct {
	Path    string
	Class   Class
	Methods map[string]Handler // GET stands for HEAD, too; see Any
	// Keyless routes answer also while the host's keys are not ready.
	Keyless bool
	// Sources returns the sources that the class's policy lists: who may frame a
	// FramedPage or a SilentFrame, and what a Dialog frames. It is called for each
	// request: with many hosts that list one another, all lists at once would take
	// memory that grows with the square of their number.
	Sources func() []string
}

// Get is the method table of a route that is read.
func Get(h Handler) map[string]Handler { return map[string]Handler{http.MethodGet: h} }

// Post is the method table of a route that is written to.
func Post(h Handler) map[string]Handler { return map[string]Handler{http.MethodPost: h} }

// Any is the method table of a route of the class ForwardAuth, which every method reaches.
func Any(h Handler) map[string]Handler { return map[string]Handler{"": h} }

// Asset answers with a file and its ETag.
func Asset(asset web.Asset) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("ETag", asset.ETag)
		if sameETag(r.Header.Get("If-None-Match"), asset.ETag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		write(w, http.StatusOK, asset.ContentType, asset.Body)
		return nil
	}
}

// sameETag reports whether an If-None-Match header names the ETag (RFC 9110,
// section 13.1.2, weak comparison).
func sameETag(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}

// JSON answers with a value that can be marshalled.
func JSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // only structs of strings, booleans and times come here
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal","message":"Something went wrong here."}`)
	}
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser may have left
}
