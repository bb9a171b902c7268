package kind

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// hostName returns a host name in its canonical form: lower case, A-labels, no
// final dot. Letters beyond ASCII are turned into A-labels; every other form is
// refused with its cure, because the operator would not find it again in logs
// and documents.
func hostName(text string) (string, Problem) {
	switch {
	case text == "":
		return "", Bad("write a host name", "is empty")
	case strings.Contains(text, "/"):
		return "", Bad("write the host name alone, without https:// and without a path", "%s is not a host name", Quote(text))
	case strings.Contains(text, "@"):
		return "", Bad("write the host name alone, the part after the @", "holds an @")
	case strings.Contains(text, "*"):
		return "", Bad("list each host name", "%s is a wildcard", Quote(text))
	case strings.HasSuffix(text, "."):
		return "", Bad("write "+strings.TrimRight(Shorten(text), "."), "%s ends in a dot", Quote(text))
	case isAddress(text):
		return "", Bad("write a host name", "%s is an IP address", Quote(text))
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		return "", Bad(fmt.Sprintf("write %s; ports belong under listen", Shorten(host)), "%s has a port", Quote(text))
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	name, err := profile.ToASCII(text)
	// Browsers take a name whose last label is a number for a malformed address.
	if err != nil || strings.Trim(name[strings.LastIndex(name, ".")+1:], "0123456789") == "" {
		return "", Bad("write letters, digits, hyphens and dots, as in www.example.com", "%s is not a host name", Quote(text))
	}
	if text != strings.ToLower(text) {
		return "", Bad("write "+name, "%s has upper-case letters", Quote(text))
	}
	return name, Problem{}
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// authority returns a host name, with its port if that is not 443.
func authority(text string) (string, Problem) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.Contains(text, "/") {
		host, port = text, ""
	}
	name, p := hostName(host)
	switch {
	case p.Text != "":
		return "", p
	case port == "" || port == "443":
		return name, Problem{}
	case !isPort(port):
		return "", Bad("write "+name, "the port of %s is not a number from 1 to 65535", Quote(text))
	}
	return net.JoinHostPort(name, port), Problem{}
}

// absoluteURL parses scheme://host[:port][/path] and nothing more. A text with
// credentials is never shown, because it may hold a password.
func absoluteURL(text string, schemes []string, example string) (*url.URL, Problem) {
	if strings.Contains(text, "@") {
		return nil, Bad("write it without user name and password, as in "+example, "has an @ in its address")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, Bad("write "+example, "%s is not an absolute URL", Quote(text))
	}
	// Names inside a company's network may have an underscore, as containers of
	// Docker Compose do. They are only dialled, so it is enough that a host may
	// have their characters.
	name := u.Hostname()
	named := name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
	switch {
	case !slices.Contains(schemes, u.Scheme):
		return nil, Bad("write "+example, "%s has the scheme %s", Quote(text), Quote(u.Scheme))
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, Bad("write "+example, "%s has a query or a fragment", Quote(text))
	case u.Port() != "" && !isPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return nil, Bad("write "+example, "the port of %s is not a number from 1 to 65535", Quote(u.String()))
	case !named && !isAddress(name):
		return nil, Bad("write "+example, "the host of %s is not a host name", Quote(u.String()))
	}
	return u, Problem{}
}

// serverURL is absoluteURL without a path.
func serverURL(text string, schemes []string, example, noPath string) (*url.URL, Problem) {
	u, p := absoluteURL(text, schemes, example)
	if p.Text != "" {
		return nil, p
	}
	if u.Path != "" && u.Path != "/" {
		return nil, Bad(noPath, "%s has a path", Quote(u.String()))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, Problem{}
}

// upstreamURL returns the URL of a website.
func upstreamURL(text string) (*url.URL, Problem) {
	if path, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		path = "/" + strings.TrimLeft(path, "/")
		u := &url.URL{Scheme: "unix", Path: path}
		if !strings.HasPrefix(text, "unix:/") || path == "/" || strings.HasSuffix(path, "/") || len(path) > maxSocketPath || strings.ContainsAny(path, "\x00?#") {
			return nil, Bad("write unix:/run/website.sock", "%s has no absolute path of a socket of at most %d bytes", Quote(text), maxSocketPath)
		}
		return u, Problem{}
	}
	if !strings.Contains(text, "//") && !strings.Contains(text, "@") {
		return nil, Bad("write http://"+Shorten(text), "%s has no scheme", Quote(text))
	}
	return serverURL(text, []string{"http", "https", "h2c", "h2"}, "http://cms:8080", "remove the path: every path is passed on as it came")
}

// maxSocketPath is how long the path of a Unix socket may be (sockaddr_un, less the
// final NUL).
const maxSocketPath = 107

// ldapURL returns the URL of an LDAP server.
func ldapURL(text string) (string, Problem) {
	if strings.HasPrefix(text, "ldapi:") {
		return "", Bad("use ldaps:// or ldap://", "%s is a local socket", Quote(text))
	}
	u, p := serverURL(text, []string{"ldap", "ldaps"}, "ldaps://ldap.example.com", "remove it: the base belongs into base_dn")
	if p.Text != "" {
		return "", p
	}
	return u.String(), Problem{}
}

// serviceDomain returns a domain whose LDAP servers DNS lists, as a URL.
func serviceDomain(text string) (string, Problem) {
	const example = "write a domain, as in example.com, or ldaps://example.com"
	scheme, domain, found := strings.Cut(text, "://")
	if !found {
		scheme, domain = "ldap", text
	}
	host, p := hostName(strings.ToLower(domain))
	if _, err := netip.ParseAddr(host); p.Text != "" || err == nil || scheme != "ldap" && scheme != "ldaps" {
		return "", Bad(example, "%s is not a domain whose servers DNS lists", Quote(text))
	}
	return scheme + "://" + host, Problem{}
}

// pageURL returns the URL of a page that people are led to.
func pageURL(text string) (string, Problem) {
	const example = "https://password.example.com"
	address := text
	if end := strings.IndexAny(text, "?#"); end >= 0 { // what the page is told is its own affair
		address = text[:end]
	}
	if _, p := absoluteURL(address, []string{"https"}, example); p.Text != "" {
		return "", p
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", Bad("write "+example, "%s is not an absolute URL", Quote(text))
	}
	return u.String(), Problem{}
}

// hubURL returns the base URL of a hub without a final slash.
func hubURL(text string) (string, Problem) {
	const example = "https://hub.example.com/persona"
	u, p := absoluteURL(text, []string{"https"}, example)
	if p.Text != "" {
		return "", p
	}
	if name, p := hostName(u.Hostname()); p.Text != "" || name != u.Hostname() {
		return "", Bad("write it as in "+example, "the host of %s is not a host name in lower case", Quote(u.String()))
	}
	if u.Port() == "443" {
		u.Host = u.Hostname()
	}
	return strings.TrimRight(u.String(), "/"), Problem{}
}

// relyingParty returns the origin of a website as browsers write it, or a
// pattern of such origins.
func relyingParty(text string) (string, Problem) {
	const example = "write an origin, as in https://app.example.com, or https://*.example.com for every host below example.com"
	if text == "*" {
		return text, Problem{}
	}
	scheme, rest, _ := strings.Cut(text, "://")
	domain, wild := strings.CutPrefix(rest, "*.")
	u, err := url.Parse(scheme + "://" + domain)
	if err != nil || u.Host == "" || u.User != nil {
		return "", Bad(example, "%s is not the origin of a website", Quote(text))
	}
	host, port := u.Hostname(), u.Port()
	loopback := host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
	name, p := hostName(host)
	switch {
	case (p.Text != "" || name != host) && (wild || !isAddress(host)):
		return "", Bad(example, "the host of %s is not a host name in lower case", Quote(text))
	case u.Scheme != "https" && (u.Scheme != "http" || wild || !loopback):
		return "", Bad("write https://: only localhost may go without", "%s has the scheme %s", Quote(text), Quote(u.Scheme))
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port):
		return "", Bad(example, "%s is more than the origin of a website", Quote(text))
	}
	return strings.TrimSuffix(text, ":"+map[string]string{"https": "443", "http": "80"}[u.Scheme]), Problem{}
}

// staging is Let's Encrypt's server for trying things out: generous limits, and
// certificates that no browser trusts.
const staging = "https://acme-staging-v02.api.letsencrypt.org/directory"

// acmeDirectory returns the URL of an ACME directory; the word staging is Let's
// Encrypt's staging server.
func acmeDirectory(text string) (string, Problem) {
	if text == "staging" || text == staging {
		return staging, Problem{"is Let's Encrypt's staging server, whose certificates no browser trusts", "remove the line once everything works", true}
	}
	if _, p := absoluteURL(text, []string{"https"}, "https://ca.example.com/acme/directory"); p.Text != "" {
		return "", p
	}
	return text, Problem{}
}

// listenAddress returns an address as net.Listen takes it, or "" for none.
func listenAddress(text, example string) (string, Problem) {
	if text == "" {
		return "", Problem{}
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return text, Bad(fmt.Sprintf("write %q or %q", example, "127.0.0.1"+example), "%s is not an address to listen on", Quote(text))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return text, Bad(fmt.Sprintf("write %q", example), "the port of %s is not a number from 0 to 65535", Quote(text))
	}
	if _, p := hostName(host); host != "" && !isAddress(host) && p.Text != "" {
		return text, Bad(fmt.Sprintf("write %q", example), "the host of %s is neither an IP address nor a name", Quote(text))
	}
	return text, Problem{}
}
