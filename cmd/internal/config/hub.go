package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Hub configures what identity hosts do for the websites that people sign in
// to: include.js, the dialog, the silent frame.
type Hub struct {
	Enabled bool // true by default
	// RelyingParties are the sites that may use it: origins, https://*.example.com
	// for every host below example.com, or * for all. Empty: the sites of our
	// own hosts.
	RelyingParties []string
}

func (v value) hubSection(h *Hub) {
	v.section(fields{
		"enabled":         func(v value) { h.Enabled = v.boolean() },
		"relying_parties": func(v value) { h.RelyingParties = v.texts(value.relyingParty) },
	})
}

// relyingParty returns the origin of a website as browsers write it, or a
// pattern of such origins.
func (v value) relyingParty() (string, bool) {
	const example = "write an origin, as in https://app.example.com, or https://*.example.com for every host below example.com"
	text, ok := v.text()
	if !ok || text == "*" {
		return text, ok
	}
	scheme, rest, _ := strings.Cut(text, "://")
	domain, wild := strings.CutPrefix(rest, "*.")
	u, err := url.Parse(scheme + "://" + domain)
	if err != nil || u.Host == "" || u.User != nil {
		v.fault(quote(text)+" is not the origin of a website", example)
		return "", false
	}
	if name, problem, _ := hostName(u.Hostname()); (problem != "" || name != u.Hostname()) && (wild || !isAddress(u.Hostname())) {
		v.fault(fmt.Sprintf("the host of %s is not a host name in lower case", quote(text)), example)
		return "", false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || wild || !isLoopback(u.Hostname())) {
		v.fault(fmt.Sprintf("%s has the scheme %s", quote(text), quote(u.Scheme)), "write https://: only localhost may go without")
		return "", false
	}
	origin := strings.TrimSuffix(text, ":"+map[string]string{"https": "443", "http": "80"}[u.Scheme])
	port := u.Port()
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) {
		v.fault(quote(text)+" is more than the origin of a website", example)
		return "", false
	}
	return origin, true
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
}

// sisters returns the hubs of the other identity hosts on the site of a host:
// each is a hub for people of all of them.
func (c *Config) sisters(host string, hosts []Host) []string {
	if !c.Hub.Enabled {
		return nil
	}
	var hubs []string
	for _, other := range hosts {
		if other.Role == RoleIdentity && other.Name != host && sameSite(other.Name, host) {
			hubs = append(hubs, c.origin(other.Name)+"/persona")
		}
	}
	return hubs
}

// origin is how browsers name a host of ours.
func (c *Config) origin(host string) string {
	if port := c.Listen.PublicHTTPS; port != 443 && port != 0 {
		return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	return "https://" + host
}
