package browserid

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"persona-sidecar/idp/browserid/strictjson"
)

// origin is the scheme, host and port of a website.
type origin struct {
	scheme string // http or https
	host   string // lower case; IPv6 in brackets
	port   int    // never 0
}

// ParseAudience reads the origin of a relying party, such as
// https://rp.example or http://localhost:8080, and returns it as browsers
// write it: lower case, without the scheme's own port. Whatever is not a whole
// origin of http or https is an error: a bare host, a path (even /), a query,
// a user.
func ParseAudience(s string) (string, error) {
	o, err := parseOrigin(s)
	if err != nil {
		return "", err
	}
	return o.String(), nil
}

func parseOrigin(s string) (origin, error) {
	fail := func(err error) (origin, error) {
		return origin{}, fmt.Errorf("audience %s: %w (write the whole origin and nothing more, such as https://rp.example)", strictjson.Quote(s), err)
	}
	scheme, rest, ok := strings.Cut(foldASCII(s), "://")
	if !ok {
		return fail(errors.New("the scheme is missing"))
	}
	o := origin{scheme: scheme, port: defaultPort(scheme)}
	if o.port == 0 {
		return fail(errors.New("the scheme is neither http nor https"))
	}
	if strings.Contains(rest, "/") {
		return fail(errors.New("has non-empty path"))
	}
	host, port, hasPort := cutPort(rest)
	if err := checkOriginHost(host); err != nil {
		return fail(err)
	}
	o.host = host
	if hasPort {
		number, err := parsePort(port)
		if err != nil {
			return fail(err)
		}
		o.port = number
	}
	return o, nil
}

func defaultPort(scheme string) int {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// cutPort cuts host:port at the first colon that is not inside brackets.
func cutPort(s string) (host, port string, ok bool) {
	end := strings.LastIndexByte(s, ']') + 1
	host, port, ok = strings.Cut(s[end:], ":")
	return s[:end] + host, port, ok
}

// checkOriginHost accepts what may stand in an origin: a DNS name, with the
// underscores that browsers allow, or an IP address in its canonical form.
func checkOriginHost(host string) error {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" || addr.String() != inner {
			return errors.New("the host is not an IPv6 address in its canonical form")
		}
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return nil
	}
	return checkHostName(host, true)
}

// String is the origin as a browser writes it.
func (o origin) String() string {
	if o.port == defaultPort(o.scheme) {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + strconv.Itoa(o.port)
}

// matchAudience compares the audience that a relying party expects with the
// canonical one of an assertion.
func matchAudience(expected, asserted string) error {
	want, err := parseOrigin(expected)
	if err != nil {
		return fmt.Errorf("audience mismatch: %w", err)
	}
	got, err := parseOrigin(asserted)
	if err != nil {
		return fmt.Errorf("audience mismatch: %w", err)
	}
	switch {
	case want.scheme != got.scheme:
		return ErrAudienceScheme
	case want.port != got.port:
		return ErrAudiencePort
	case want.host != got.host:
		return ErrAudienceDomain
	}
	return nil
}
