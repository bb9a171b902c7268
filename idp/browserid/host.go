package browserid

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"persona-sidecar/idp/browserid/strictjson"
)

// ParseAuthority checks that s names an authority: the host, or host:port, of
// an identity provider, as it stands in a support document's "authority" and a
// certificate's "iss". It returns s. Authorities are compared as strings, so
// there is one spelling: lower case, A-labels, no final dot, no scheme, path
// or user, no port 443, no IP address.
func ParseAuthority(s string) (string, error) {
	host, port, hasPort := strings.Cut(s, ":")
	if err := checkHostName(host, false); err != nil {
		return "", fmt.Errorf("authority %s is not host or host:port: %w", strictjson.Quote(s), err)
	}
	if !hasPort {
		return s, nil
	}
	number, err := parsePort(port)
	if err != nil {
		return "", fmt.Errorf("authority %s: %w", strictjson.Quote(s), err)
	}
	if number == 443 {
		return "", fmt.Errorf("authority %s must be written without :443", strictjson.Quote(s))
	}
	return s, nil
}

func parsePort(s string) (int, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 || s[0] == '0' {
		return 0, fmt.Errorf("%s is not a port", strictjson.Quote(s))
	}
	return int(port), nil
}

// checkHostName accepts a DNS name in its canonical form: letters in lower
// case, digits and hyphens in labels of at most 63, at most 253 in all.
// A last label of digits only would be (part of) an IPv4 address.
func checkHostName(s string, underscores bool) error {
	if s == "" {
		return errors.New("there is no host name")
	}
	if len(s) > 253 {
		return errors.New("the host name is longer than 253")
	}
	label := ""
	for label = range strings.SplitSeq(s, ".") {
		if err := checkLabel(label, underscores); err != nil {
			return err
		}
	}
	if numeric(label) {
		return errors.New("an IP address is not a host name")
	}
	return nil
}

func checkLabel(label string, underscores bool) error {
	switch {
	case label == "":
		return errors.New("the host name has an empty label (a dot too many)")
	case len(label) > 63:
		return errors.New("the host name has a label longer than 63")
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("the host name has a label with a hyphen at its end")
	}
	for i := range len(label) {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_' && underscores:
		case 'A' <= c && c <= 'Z':
			return errors.New("the host name is not in lower case")
		default:
			return fmt.Errorf("the host name has the character %s (write international names as xn--)", strictjson.Quote(label[i:i+1]))
		}
	}
	return nil
}

// numeric reports whether browsers would take a last label for a part of an IPv4
// address: decimal, or hexadecimal after 0x.
func numeric(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// foldASCII turns A-Z into a-z and leaves all else, unlike strings.ToLower,
// which turns a Kelvin sign into a k.
func foldASCII(s string) string {
	fold := func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	return strings.Map(fold, s)
}
