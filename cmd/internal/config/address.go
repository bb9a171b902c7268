package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// address returns the absolute URL that stands here, nil after a fault: one of
// the schemes, a host, perhaps a port and a path, nothing else. An address with
// credentials is never shown, because it may hold a password.
func (v value) address(schemes []string, example string) *url.URL {
	text, ok := v.text()
	if !ok {
		return nil
	}
	if strings.Contains(text, "@") {
		v.fault("has an @ in its address", fmt.Sprintf("write it without user name and password, as in %s", example))
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		v.fault(quote(text)+" is not an absolute URL", "write "+example)
		return nil
	}
	if !slices.Contains(schemes, u.Scheme) {
		v.fault(fmt.Sprintf("%s has the scheme %s", quote(text), quote(u.Scheme)), "write "+example)
		return nil
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		v.fault(quote(text)+" has a query or a fragment", "write "+example)
		return nil
	}
	if !v.host(u, example) {
		return nil
	}
	return u
}

// host checks host and port of a URL, and makes the host canonical.
func (v value) host(u *url.URL, example string) bool {
	host, port := u.Hostname(), u.Port()
	if port != "" && !isPort(port) || strings.HasSuffix(u.Host, ":") {
		v.fault(fmt.Sprintf("the port of %s is not a number from 1 to 65535", quote(u.String())), "write "+example)
		return false
	}
	if isAddress(host) {
		return true
	}
	// Names inside a company's network may have an underscore, as the containers
	// of docker compose do: they are only dialled, so they need not be more than
	// characters that a host may have.
	if strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || host == "" {
		v.fault(fmt.Sprintf("the host of %s is not a host name", quote(u.String())), "write "+example)
		return false
	}
	return true
}

// withoutPath says whether a URL names a host and nothing on it.
func (v value) withoutPath(u *url.URL, cure string) bool {
	if u == nil {
		return false
	}
	if u.Path != "" && u.Path != "/" {
		v.fault(fmt.Sprintf("%s has a path", quote(u.String())), cure)
		return false
	}
	return true
}

// upstream returns the URL of a website: scheme, host and port.
func (v value) upstream() *url.URL {
	text, ok := v.text()
	if !ok || text == "" {
		return nil
	}
	const example = "http://cms:8080"
	scheme, _, _ := strings.Cut(text, ":")
	switch {
	case scheme == "h2c" || scheme == "unix":
		v.fault(fmt.Sprintf("the scheme %s is not available yet", scheme), "use http or https")
		return nil
	case !strings.Contains(text, "//") && !strings.Contains(text, "@"):
		v.fault(quote(text)+" has no scheme", "write http://"+shorten(text))
		return nil
	}
	u := v.address([]string{"http", "https"}, example)
	if !v.withoutPath(u, "remove the path: every path is passed on as it came") {
		return nil
	}
	u.Path = ""
	return u
}
