package fast

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"persona-sidecar/proxy/wire"
)

// request is an ordinary request.
type request struct {
	method string
	target string
	host   string
	fields wire.Fields // all of them, as they came
	length int64       // of the body, 0: none
	close  bool        // the client sends no other request
}

// parse reads a head, from its first byte to its empty line, that all servers take for the
// same and that asks for nothing special of the connection. ok is false for every other
// one, well-formed or not: the rules are a list of what is ordinary, not of what is wrong.
func parse(head string) (r request, ok bool) {
	for i := range len(head) {
		if c := head[i]; (c < ' ' || c > '~') && c != '\r' && c != '\n' {
			return r, false
		}
	}
	line, rest, _ := strings.Cut(head, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(line, " ")
	if version != "HTTP/1.1" || !all(method, upper) || method == http.MethodConnect || !ordinaryTarget(target) {
		return r, false
	}
	fields, bare, err := wire.ParseFields(nil, rest)
	if err != nil || bare {
		return r, false
	}
	r = request{method: method, target: target, fields: fields}
	lengths, connections, pragma := 0, 0, false
	for _, f := range fields {
		if !all(f.Name, nameByte) {
			return r, false
		}
		switch {
		case f.Is("Host"):
			if r.host != "" || !all(f.Value, hostByte) {
				return r, false
			}
			r.host = f.Value
		case f.Is("Content-Length"):
			if lengths++; lengths > 1 || !all(f.Value, digit) || len(f.Value) > maxDigits || f.Value[0] == '0' && f.Value != "0" {
				return r, false
			}
			r.length, _ = strconv.ParseInt(f.Value, 10, 64)
		case f.Is("Connection"):
			r.close = strings.EqualFold(f.Value, "close")
			if connections++; connections > 1 || !r.close && !strings.EqualFold(f.Value, "keep-alive") {
				return r, false
			}
		case f.Is("Pragma"):
			pragma = true // net/http makes a Cache-Control of it
		case special(f.Name):
			return r, false
		}
	}
	return r, r.host != "" && (!pragma || fields.Has("Cache-Control"))
}

// maxDigits of a length are fewer than an int64 has room for.
const maxDigits = 18

// special reports whether a field says something about the connection or the framing.
func special(name string) bool {
	is := func(other string) bool { return strings.EqualFold(name, other) }
	switch len(name) {
	case 2:
		return is("TE")
	case 6:
		return is("Expect")
	case 7:
		return is("Upgrade") || is("Trailer")
	case 10:
		return is("Keep-Alive")
	case 14:
		return is("HTTP2-Settings")
	case 16, 17:
		return is("Proxy-Connection") || is("Transfer-Encoding")
	}
	return false
}

// ordinaryTarget reports whether a target is in origin-form (RFC 9112, section 3.2.1) and
// of the characters that RFC 3986 gives to a path and a query, and "[" and "]" in the
// query, which browsers do not escape.
func ordinaryTarget(s string) bool {
	if s == "" || s[0] != '/' || strings.HasPrefix(s, "//") {
		return false
	}
	query := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !is(s[i+1], hex) || !is(s[i+2], hex) {
				return false
			}
		case c == '?':
			query = true
		case !is(c, pathByte) && (!query || c != '[' && c != ']'):
			return false
		}
	}
	return true
}

// class is a set of ASCII characters.
type class uint8

const (
	upper class = 1 << iota
	digit
	hex
	nameByte // of a field's name: letters, digits and "-"
	hostByte
	pathByte
	plainByte // of a path that has one spelling only
)

// classes are those of each character: a table, because each byte of each head is
// looked up.
var classes = func() (table [128]class) {
	add := func(c class, characters string) {
		for i := range len(characters) {
			table[characters[i]] |= c
		}
	}
	const (
		capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		small    = "abcdefghijklmnopqrstuvwxyz"
		digits   = "0123456789"
	)
	add(upper, capitals)
	add(digit, digits)
	add(hex, digits+"abcdefABCDEF")
	add(nameByte, capitals+small+digits+"-")
	add(hostByte, capitals+small+digits+"-._:[]")
	add(plainByte, capitals+small+digits+"-._~/")
	add(pathByte, capitals+small+digits+"-._~!$&'()*+,;=:@/")
	return table
}()

func is(c byte, of class) bool { return c < 128 && classes[c]&of != 0 }

// all reports whether a text holds characters of a class alone, and at least one.
func all(s string, of class) bool {
	for i := range len(s) {
		if !is(s[i], of) {
			return false
		}
	}
	return s != ""
}

// parseTarget fills u as url.ParseRequestURI does.
func parseTarget(u *url.URL, target string) error {
	path, query, found := strings.Cut(target, "?")
	if all(path, plainByte) && (!found || query != "") {
		u.Path, u.RawQuery = path, query
		return nil
	}
	parsed, err := url.ParseRequestURI(target)
	if err == nil {
		*u = *parsed
	}
	return err
}

// http returns the request as net/http's server would make it, with u for its URL.
func (r *request) http(ctx context.Context, c *conn, u *url.URL) (http.Request, error) {
	if err := parseTarget(u, r.target); err != nil {
		return http.Request{}, err
	}
	header := make(http.Header, len(r.fields)-1)
	values := make([]string, len(r.fields)) // one allocation for all
	for i, f := range r.fields {
		if f.Is("Host") {
			continue
		}
		name := http.CanonicalHeaderKey(f.Name)
		if earlier, found := header[name]; found {
			header[name] = append(earlier, f.Value)
			continue
		}
		values[i] = f.Value
		header[name] = values[i : i+1 : i+1]
	}
	req := http.Request{
		Method: r.method, URL: u, RequestURI: r.target, Host: r.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, ContentLength: r.length, Close: r.close,
		RemoteAddr: c.remote, TLS: c.tls,
	}
	return *req.WithContext(ctx), nil
}
