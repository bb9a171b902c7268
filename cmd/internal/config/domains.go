package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// entry is a domain and the places where it was read.
type entry struct {
	Domain
	at               section
	hosts, certifies []item
}

func (v value) domains() []entry {
	var all []entry
	v.list(func(item value) { all = append(all, item.domain()) })
	return all
}

func (v value) domain() entry {
	e := entry{}
	e.at = v.section(fields{
		"name":      func(v value) { e.Name, _ = v.hostName() },
		"upstream":  func(v value) { e.Upstream = v.upstream() },
		"hosts":     func(v value) { e.hosts = v.items(value.hostNameOrAddress) },
		"directory": func(v value) { e.Directory, _ = v.text() },
		"authority": func(v value) { e.Authority = v.authority() },
		"certifies": func(v value) { e.certifies = v.items(value.hostName) },
		"disabled":  func(v value) { e.Disabled = v.boolean() },
	})
	e.Hosts, e.Certifies = texts(e.hosts), texts(e.certifies)
	if v.node.Kind == yaml.MappingNode {
		e.check()
	}
	return e
}

// check looks at one entry by itself.
func (e entry) check() {
	at := e.at
	if !at.has("name") {
		at.at("name").missing("write it, as in example.com")
	}
	if e.Disabled {
		for _, key := range []string{"directory", "authority", "certifies"} {
			if at.has(key) {
				at.at(key).fault("contradicts "+at.at("disabled").name(), "keep one of them")
			}
		}
	}
	if at.has("certifies") && !at.has("directory") && !e.Disabled {
		at.at("certifies").fault("is for an identity host", "write it where the directory is, or give this domain one")
	}
	if len(e.Hosts) > 0 && !at.has("upstream") {
		at.at("hosts").fault("needs an upstream", "say with "+at.at("upstream").setting("http://…")+" where the website is")
	}
	plain := !at.has("directory") && !at.has("authority") && !e.Disabled
	if plain && !at.has("upstream") {
		at.at("upstream").missing("a domain without a website needs directory, authority or disabled")
	}
	if e.Upstream != nil && (e.Upstream.Hostname() == e.Name || slices.Contains(e.Hosts, e.Upstream.Hostname())) {
		at.at("upstream").warn(
			fmt.Sprintf("%s is a host name that is served here", quote(e.Upstream.Hostname())),
			"if it leads back to persona, each request goes in circles: name the website's own host")
	}
}

// checkDomains looks at all entries together.
func (s section) checkDomains(entries []entry, c *Config) {
	at := s.at("domains")
	if !at.given() {
		at.missing("name at least one, as in example.com")
		return
	}
	if at.node.Kind == yaml.SequenceNode && len(at.node.Content) == 0 {
		at.fault("is an empty list", "list at least one domain")
	}
	hosts := index(c.Hosts())
	checkUnique(entries)
	for _, e := range entries {
		e.checkDirectory(c, s.at("directories"))
		e.checkAuthority(hosts)
		e.checkAddresses(c.TLS.Mode)
	}
	checkCertifies(entries, hosts)
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e entry) bool { return e.at.has("directory") }) {
		at.warn("nobody can sign in here: no domain has a directory", "give one a directory")
	}
}

func index(hosts []Host) map[string]Host {
	m := map[string]Host{}
	for _, h := range hosts {
		m[h.Name] = h
	}
	return m
}

// checkUnique checks that each host name leads to one place.
func checkUnique(entries []entry) {
	first := map[string]value{}
	look := func(name string, at value) {
		if name == "" {
			return
		}
		if other, taken := first[name]; taken {
			at.fault(fmt.Sprintf("%s is served already by %s", quote(name), other.called()), "list each host name once")
			return
		}
		first[name] = at
	}
	for _, e := range entries {
		look(e.Name, e.at.at("name"))
	}
	for _, e := range entries {
		for _, host := range e.hosts {
			look(host.text, host.value)
		}
	}
}

// called returns the name of a place and its line.
func (v value) called() string {
	if v.line() > 0 {
		return fmt.Sprintf("%s on line %d", v.name(), v.line())
	}
	return v.name()
}
