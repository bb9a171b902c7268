package idp

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
)

// maxBody bounds what a form or a JSON request may be, in bytes. Hubs have
// always bounded public keys and requests at 10 kB.
const maxBody = 16 << 10

var errTooLarge = &httpError{status: http.StatusRequestEntityTooLarge, code: "too_large", public: "This request is too large."}

// readForm reads the named fields of a form from the body. Fields given twice,
// and bodies that are no form, are errors; other fields are ignored.
func readForm(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, &httpError{status: http.StatusUnsupportedMediaType, code: "not_a_form", public: "This address takes forms only (application/x-www-form-urlencoded)."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, bodyError(withoutText(err), "This form cannot be read.")
	}
	form := map[string]string{}
	for _, name := range names {
		values := r.PostForm[name]
		if len(values) > 1 {
			return nil, &httpError{status: http.StatusBadRequest, code: "bad_request", public: "This form has a field twice."}
		}
		if len(values) == 1 {
			form[name] = values[0]
		}
	}
	return form, nil
}

// withoutText replaces an error that quotes what was typed, maybe a piece of
// the password, by one that does not.
func withoutText(err error) error {
	var quoting url.EscapeError
	if errors.As(err, &quoting) {
		return errors.New("the form has a malformed escape")
	}
	return err
}

func bodyError(err error, public string) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return &httpError{status: http.StatusBadRequest, code: "bad_request", public: public, cause: err}
}
