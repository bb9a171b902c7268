package session

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// CookieName is the name of the sign-in cookie. Its prefix makes browsers refuse it
// unless it is Secure, has Path=/ and no Domain (RFC 6265bis, section 4.1.3.2), so no
// other host of the domain can set it.
const CookieName = "__Host-persona"

// cookieOf returns the value of the one cookie of our name. It reads the header itself
// because net/http leaves out cookies that it finds malformed: two of our name, one
// of them malformed, are two all the same.
func cookieOf(r *http.Request) (string, error) {
	var value string
	found := 0
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, text, _ := strings.Cut(pair, "=")
			if strings.Trim(name, " \t") == CookieName {
				value = strings.Trim(text, " \t")
				found++
			}
		}
	}
	switch found {
	case 0:
		return "", none("no cookie")
	case 1:
		return value, nil
	}
	return "", none("more than one cookie")
}

// setCookie sets our cookie in place of one that the response may already set. With
// maxAge 0 it lasts as long as the browser runs.
func setCookie(w http.ResponseWriter, value string, maxAge time.Duration) {
	c := http.Cookie{
		Name: CookieName, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	switch {
	case maxAge < 0:
		c.MaxAge = -1 // written as Max-Age=0
	case maxAge > 0:
		c.MaxAge = max(1, int(maxAge/time.Second))
	}
	h := w.Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, CookieName+"=")
	})
	http.SetCookie(w, &c)
}

// clearCookie makes the browser forget our cookie.
func clearCookie(w http.ResponseWriter) { setCookie(w, "", -1) }

// SentCookie reports whether a request has a cookie of ours, good or bad.
func SentCookie(r *http.Request) bool {
	_, err := r.Cookie(CookieName)
	return err == nil
}
