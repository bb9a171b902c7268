package upstream

import (
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// trailer is a request's trailer section (RFC 9110, section 6.5). net/http
// fills its fields in when the body has been read to its end.
type trailer struct {
	fields http.Header
	names  []string // those that the website may see
}

// announced takes out of an announced trailer section what has no place there:
// a website that merges it into the header would take it for a field that was
// looked at in front of the body.
func announced(fields http.Header) trailer {
	t := trailer{fields: fields}
	for name := range fields {
		if mayTrail(name) {
			t.names = append(t.names, name)
		}
	}
	t.keepAnnounced()
	return t
}

// keepAnnounced removes all other fields. Over HTTP/1.1 net/http takes in
// whatever stands behind the body.
func (t trailer) keepAnnounced() {
	for name := range t.fields {
		if !slices.Contains(t.names, name) {
			delete(t.fields, name)
		}
	}
}

// mayTrail refuses what frames, routes or authenticates a request, and what is
// made anew or cut out in the header.
func mayTrail(name string) bool {
	return httpguts.ValidTrailerHeader(name) && kindOf(name) == plain && name != "Cookie"
}
