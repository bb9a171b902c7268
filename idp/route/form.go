package route

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// BodyTime is how long the whole body of a request may take unless configured.
	BodyTime = 10 * time.Second
	// LargestBody bounds a body in bytes, on every path of ours.
	LargestBody = 64 << 10
)

// LimitBody bounds the body of a request: its size to [LargestBody], and the time
// until its end, however few bytes come at a time. Reading on is then an
// [http.MaxBytesError], or os.ErrDeadlineExceeded. Once the body has ended the
// connection has no deadline, so that a handler may take its time.
func LimitBody(w http.ResponseWriter, r *http.Request, within time.Duration) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // fails where no connection is behind w
	r.Body = http.MaxBytesReader(w, &timedBody{r.Body, control}, LargestBody)
}

// timedBody lifts the deadline when it ends.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// maxBody bounds what a form or a JSON request may be, in bytes. Hubs have
// always bounded public keys and requests at 10 kB.
const maxBody = 16 << 10

// Form reads the named fields of a form from the body. Fields given twice, and
// bodies that are no form, are errors; other fields are ignored.
func Form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "not_a_form"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if _, quotes := errors.AsType[url.EscapeError](err); quotes {
			// The error quotes what was typed, maybe a piece of the password.
			err = errors.New("the form has a malformed escape")
		}
		return nil, bodyError(err, "form")
	}
	return single(r.PostForm, "field_twice", names)
}

// Query reads the named parameters of an address, as [Form] does of a body.
func Query(r *http.Request, names ...string) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "query"}
	}
	return single(values, "parameter_twice", names)
}

func single(all url.Values, twice string, names []string) (map[string]string, error) {
	found := map[string]string{}
	for _, name := range names {
		values := all[name]
		if len(values) > 1 {
			return nil, &Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: twice}
		}
		if len(values) == 1 {
			found[name] = values[0]
		}
	}
	return found, nil
}

// JSONBody reads the body of a request that must be application/json.
func JSONBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "not_json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, bodyError(err, "body")
	}
	return body, nil
}

func bodyError(err error, detail string) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large"}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Status: http.StatusRequestTimeout, Code: "too_slow"}
	}
	return &Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: detail, Cause: err}
}

// Navigation refuses what is no page in a window of its own, as far as the browser tells (Fetch Metadata): no one signs
// in or out inside a frame, by a script, or because a browser fetches ahead. A website's service worker that passes a page's
// request on makes one without a destination; it is still a navigation, a mode that no script can ask for by itself.
func Navigation(r *http.Request) error {
	dest, passedOn := r.Header.Get("Sec-Fetch-Dest"), r.Header.Get("Sec-Fetch-Mode") == "navigate"
	if dest != "" && dest != "document" && !(dest == "empty" && passedOn) {
		return &Error{Status: http.StatusForbidden, Code: "not_a_page", Link: "/"}
	}
	if r.Header.Get("Sec-Purpose") != "" {
		return &Error{Status: http.StatusServiceUnavailable, Code: "not_ahead", Link: "/"}
	}
	return nil
}
