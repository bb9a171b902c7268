package session

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The names of our cookies. Their prefix makes browsers refuse them unless they are Secure, have Path=/ and no
// Domain (RFC 6265bis, section 4.1.3.2), so no other host of the domain can set them.
const (
	CookieName      = "__Host-persona"       // the session, at an identity host
	SiteCookieName  = "__Host-persona-site"  // the session, at the host of a website
	LoginCookieName = "__Host-persona-login" // a sign-in that was begun at the host of a website
	FlowCookieName  = "__Host-persona-flow"  // which browser began the sign-ins to apps, at an identity host
)

// cookieOf returns the value of the one cookie of a name of ours. It reads the header itself
// because net/http leaves out cookies that it finds malformed: two of our name, one
// of them malformed, are two all the same.
func cookieOf(r *http.Request, name string) (string, error) {
	var value string
	found := 0
	for _, line := range r.Header["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			if !strings.Contains(pair, name) {
				continue
			}
			if its, text, _ := strings.Cut(pair, "="); strings.Trim(its, " \t") == name {
				value = strings.Trim(text, " \t")
				found++
			}
		}
	}
	switch found {
	case 0:
		return "", errNoCookie
	case 1:
		return value, nil
	}
	return "", errCookies
}

const (
	errNoCookie = none("no cookie")
	errCookies  = none("more than one cookie")
)

// cookieLine is the Set-Cookie line of a cookie of ours. With maxAge 0 it lasts as long as the browser
// runs; a negative one makes the browser forget it.
func cookieLine(name, value string, maxAge time.Duration) string {
	c := http.Cookie{
		Name: name, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	switch {
	case maxAge < 0:
		c.MaxAge = -1 // written as Max-Age=0
	case maxAge > 0:
		c.MaxAge = max(1, int(maxAge/time.Second))
	}
	return c.String()
}

// setCookie sets our cookie in place of one that the response may already set.
func setCookie(w http.ResponseWriter, name, line string) {
	h := w.Header()
	h["Set-Cookie"] = append(slices.DeleteFunc(h["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, name+"=")
	}), line)
}

// clearCookie makes the browser forget our cookie.
func clearCookie(w http.ResponseWriter, name string) { setCookie(w, name, cookieLine(name, "", -1)) }

// Cookie returns the value of the one cookie of a name of ours; false where a request has none of it, or more than one.
func Cookie(r *http.Request, name string) (value string, ok bool) {
	value, err := cookieOf(r, name)
	return value, err == nil
}

// SetCookie sets a cookie of ours in place of one of its name that the response may already set. With maxAge 0 it lasts as
// long as the browser runs; a negative one makes the browser forget it.
func SetCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	setCookie(w, name, cookieLine(name, value, maxAge))
}

// SentCookie reports whether a request has a cookie of ours, good or bad.
func SentCookie(r *http.Request) bool {
	_, err := r.Cookie(CookieName)
	return err == nil
}
