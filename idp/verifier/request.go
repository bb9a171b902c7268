package verifier

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"persona-sidecar/idp/browserid/strictjson"
)

// longestRequest bounds a request's body in bytes: a bundle of the largest size
// that is read, escaped, with the other fields.
const longestRequest = 16 << 10

// question is what a website asks.
type question struct{ assertion, audience string }

// requestError is why a request cannot be answered.
type requestError struct {
	status int
	reason string
}

func (e *requestError) Error() string { return e.reason }

var (
	errTooBusy     = &requestError{http.StatusServiceUnavailable, "too busy"}
	errUnavailable = &requestError{http.StatusServiceUnavailable, "service unavailable"}
)

func badRequest(reason string) error { return &requestError{http.StatusBadRequest, reason} }

const (
	typeForm = "application/x-www-form-urlencoded"
	typeJSON = "application/json"
)

// readV1 reads a form or JSON. Unlike the historic verifier it does not look at
// the query: assertions do not belong into the logs of servers. What asks to
// trust another issuer (experimental_forceIssuer) is passed over.
func readV1(w http.ResponseWriter, r *http.Request) (question, error) {
	switch mediaType(r) {
	case typeForm:
		return readForm(w, r)
	case typeJSON:
		return readJSON(w, r)
	}
	return question{}, unsupportedType(r, typeForm+" or "+typeJSON)
}

// readV2 reads JSON. trustedIssuers is checked as ever and then passed over.
func readV2(w http.ResponseWriter, r *http.Request) (question, error) {
	if mediaType(r) != typeJSON {
		return question{}, unsupportedType(r, typeJSON)
	}
	return readJSON(w, r)
}

func mediaType(r *http.Request) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

func unsupportedType(r *http.Request, expected string) error {
	got := r.Header.Get("Content-Type")
	switch {
	case got == "":
		got = "none"
	case len(got) > 80:
		got = got[:80] + "..."
	}
	return &requestError{http.StatusUnsupportedMediaType, "Unsupported Content-Type: " + got + " (expected " + expected + ")"}
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestRequest))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, &requestError{http.StatusRequestEntityTooLarge, "the request is longer than " + strconv.Itoa(longestRequest) + " bytes"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &requestError{http.StatusRequestTimeout, "the request took too long to arrive"}
	case err != nil:
		return nil, badRequest("the request could not be read")
	}
	return body, nil
}

func readForm(w http.ResponseWriter, r *http.Request) (question, error) {
	body, err := readBody(w, r)
	if err != nil {
		return question{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return question{}, badRequest("the form is malformed")
	}
	for _, name := range []string{"assertion", "audience"} {
		if len(form[name]) > 1 {
			return question{}, badRequest(name + " parameter is there twice")
		}
	}
	return asked(form.Get("assertion"), form.Get("audience"))
}

func readJSON(w http.ResponseWriter, r *http.Request) (question, error) {
	body, err := readBody(w, r)
	if err != nil {
		return question{}, err
	}
	var request struct {
		Assertion      string          `json:"assertion"`
		Audience       string          `json:"audience"`
		TrustedIssuers json.RawMessage `json:"trustedIssuers"`
	}
	if err := strictjson.Decode(body, &request); err != nil {
		return question{}, badRequest("the request is not the JSON object that is expected: " + err.Error())
	}
	if err := checkTrusted(request.TrustedIssuers); err != nil {
		return question{}, err
	}
	return asked(request.Assertion, request.Audience)
}

// checkTrusted tells those who ask to trust further issuers what they always
// were told about its form. The issuers are then not trusted: a website cannot
// know who speaks for another's domain.
func checkTrusted(list json.RawMessage) error {
	if list == nil {
		return nil
	}
	var issuers []json.RawMessage
	if json.Unmarshal(list, &issuers) != nil || issuers == nil {
		return badRequest("trusted issuers must be an array")
	}
	for _, issuer := range issuers {
		if issuer[0] != '"' {
			return badRequest("trusted issuers must be an array of strings")
		}
	}
	return nil
}

func asked(assertion, audience string) (question, error) {
	switch {
	case assertion == "":
		return question{}, badRequest("missing assertion parameter")
	case audience == "":
		return question{}, badRequest("missing audience parameter")
	}
	return question{assertion, audience}, nil
}
