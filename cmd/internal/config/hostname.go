package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// hostName returns a host name in its canonical form: lower case, A-labels, no
// final dot. Letters beyond ASCII are turned into A-labels; every other form is
// refused with its cure, because the operator would not find it again in logs
// and documents.
func hostName(text string) (name, problem, cure string) {
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	switch {
	case text == "":
		return "", "is empty", "write a host name"
	case strings.Contains(text, "/"):
		return "", quote(text) + " is not a host name", "write the host name alone, without https:// and without a path"
	case strings.Contains(text, "@"):
		return "", "holds an @", "write the host name alone, the part after the @"
	case strings.Contains(text, "*"):
		return "", quote(text) + " is a wildcard", "list each host name"
	case strings.HasSuffix(text, "."):
		return "", quote(text) + " ends in a dot", "write " + strings.TrimRight(shorten(text), ".")
	case isAddress(text):
		return "", quote(text) + " is an IP address", "write a host name"
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		return "", quote(text) + " has a port", fmt.Sprintf("write %s; ports belong under listen", shorten(host))
	}
	name, err := profile.ToASCII(text)
	if err != nil || endsInNumber(name) {
		return "", quote(text) + " is not a host name", "write letters, digits, hyphens and dots, as in www.example.com"
	}
	if text != strings.ToLower(text) {
		return "", quote(text) + " has upper-case letters", "write " + name
	}
	return name, "", ""
}

// endsInNumber says whether the last label is a number: browsers take such a
// name for a malformed IP address.
func endsInNumber(name string) bool {
	last := name[strings.LastIndex(name, ".")+1:]
	return strings.Trim(last, "0123456789") == ""
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// hostName returns the canonical host name that stands here.
func (v value) hostName() (string, bool) {
	text, ok := v.text()
	if !ok {
		return "", false
	}
	name, problem, cure := hostName(text)
	if problem != "" {
		v.fault(problem, cure)
	}
	return name, problem == ""
}

// hostNameOrAddress returns the canonical host name or IP address that stands
// here.
func (v value) hostNameOrAddress() (string, bool) {
	text, ok := v.text()
	if addr, err := netip.ParseAddr(text); ok && err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), true
	}
	return v.hostName()
}

// authority returns the host name, with a port if it has one, that stands here.
func (v value) authority() string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.Contains(text, "/") {
		host, port = text, ""
	}
	name, problem, cure := hostName(host)
	switch {
	case problem != "":
		v.fault(problem, cure)
		return ""
	case port == "" || port == "443":
		return name
	case !isPort(port):
		v.fault(fmt.Sprintf("the port of %s is not a number from 1 to 65535", quote(text)), "write "+name)
		return ""
	}
	return net.JoinHostPort(name, port)
}
