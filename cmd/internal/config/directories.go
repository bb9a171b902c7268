package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"go.yaml.in/yaml/v3"
)

var (
	directoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	// attributeName takes what ldapauth takes: no options, no numeric OID.
	attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	// placeholder is where other programs put the login into a filter.
	placeholder = regexp.MustCompile(`%s|%u|[{}]`)
)

// directories returns the directories by name, and where each was read.
func (v value) directories() (map[string]Directory, section) {
	all := map[string]Directory{}
	at := section{value: v, nodes: map[string]*yaml.Node{}}
	v.mapping(func(key *yaml.Node, item value) {
		at.nodes[key.Value] = item.node
		if !directoryName.MatchString(key.Value) {
			value{r: v.r, node: key, path: v.path}.fault(quote(key.Value)+" cannot name a directory", "use letters, digits, dots, hyphens")
		}
		all[key.Value] = item.directory()
	})
	return all, at
}

func (v value) directory() Directory {
	d := Directory{}
	s := v.section(fields{
		"preset": func(v value) {
			d.Preset = Preset(v.word(
				[]string{string(PresetOpenLDAP), string(PresetCustom)},
				[]string{"activedirectory", "freeipa", "rfc2307", "389ds", "lldap", "glauth"}))
		},
		"urls":               func(v value) { d.URLs = v.texts(value.ldapURL) },
		"start_tls":          func(v value) { d.StartTLS = v.boolean() },
		"insecure_plaintext": func(v value) { d.InsecurePlaintext = v.boolean() },
		"ca_file":            func(v value) { d.Roots = v.roots() },
		"bind_dn":            func(v value) { d.BindDN = v.bindDN() },
		"bind_password":      func(v value) { d.BindPassword = v.secret() },
		"bind_password_file": func(v value) { d.BindPassword = v.secretFile() },
		"base_dn":            func(v value) { d.BaseDN = v.distinguishedName("dc=example,dc=com") },
		"user_filter":        func(v value) { d.UserFilter = v.filter() },
		"login_attributes":   func(v value) { d.LoginAttributes = v.attributes() },
		"address_attributes": func(v value) { d.AddressAttributes = v.attributes() },
		"id_attribute":       func(v value) { d.IDAttribute, _ = v.attribute() },
		"required_group":     nil,
	})
	if !v.given() || v.node.Kind == yaml.MappingNode {
		s.checkSchema(d)
		s.checkConnection(d)
		s.checkBind(d)
	}
	return d
}

// checkSchema checks that it is known what a person's entry looks like.
func (s section) checkSchema(d Directory) {
	if !s.has("preset") {
		s.at("preset").missing("write " + s.at("preset").setting("openldap") + ", or custom")
	}
	if d.Preset != PresetCustom {
		return
	}
	for _, key := range []string{"user_filter", "login_attributes", "address_attributes", "id_attribute"} {
		if !s.has(key) {
			s.at(key).missing("preset custom knows none by itself")
		}
	}
}

// checkConnection checks that no password crosses the network in clear text
// unless that was asked for.
func (s section) checkConnection(d Directory) {
	if !s.has("urls") {
		s.at("urls").missing("name a server, as in ldaps://ldap.example.com")
	}
	if d.StartTLS || d.InsecurePlaintext {
		return
	}
	for _, text := range d.URLs {
		if strings.HasPrefix(text, "ldap:") {
			s.at("urls").fault(
				fmt.Sprintf("%s would send passwords in clear text", quote(text)),
				fmt.Sprintf("use ldaps://, or %s; for a test alone, %s", s.at("start_tls").setting("true"), s.at("insecure_plaintext").setting("true")))
		}
	}
}

// checkBind checks that the program either has a name and a password, or none.
func (s section) checkBind(d Directory) {
	name, password, file := s.at("bind_dn"), s.at("bind_password"), s.at("bind_password_file")
	wanted, cure := file, name.name()+" needs a password"
	if s.keys["bind_password"] != nil { // written, and yet without a value
		wanted, cure = password, cure+"; put quotes around one that begins with # or another special character"
	}
	if !s.has("base_dn") {
		s.at("base_dn").missing("name the entry below which all people are, as in dc=example,dc=com")
	}
	switch {
	case password.given() && file.given():
		file.fault("is given together with "+password.name(), "keep one of them")
	case name.given() && !password.given() && !file.given():
		wanted.missing(cure)
	case !name.given() && (password.given() || file.given()):
		name.missing("say whose password it is, as in cn=persona,dc=example,dc=com")
	case !name.given():
		name.warn("is missing, so the directory is searched anonymously", "most directories do not allow it: name an entry that may read")
	}
}

// ldapURL returns the URL of an LDAP server.
func (v value) ldapURL() (string, bool) {
	const example = "ldaps://ldap.example.com"
	text, ok := v.text()
	if !ok {
		return "", false
	}
	if strings.HasPrefix(text, "ldapi:") {
		v.fault(quote(text)+" is a local socket", "use ldaps:// or ldap://")
		return "", false
	}
	u := v.address([]string{"ldap", "ldaps"}, example)
	if !v.withoutPath(u, "remove it: the base belongs into base_dn") {
		return "", false
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String(), true
}

// distinguishedName returns a DN with at least one component.
func (v value) distinguishedName(example string) string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	dn, err := ldap.ParseDN(text)
	switch {
	case strings.TrimSpace(text) == "":
		v.fault("is empty", "write it as in "+example)
	case err != nil || len(dn.RDNs) == 0:
		v.fault(quote(text)+" is not a distinguished name", "write it as in "+example)
	}
	return text
}

// bindDN returns the DN that the program signs in as, "" for nobody.
func (v value) bindDN() string {
	return v.distinguishedName("cn=persona,ou=services,dc=example,dc=com")
}

// filter returns a search filter.
func (v value) filter() string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	if placeholder.MatchString(text) {
		v.fault("has a placeholder for the login", "leave that part out: login_attributes say where the login is searched")
		return text
	}
	if _, err := ldap.CompileFilter(text); err != nil {
		v.fault(quote(text)+" is not a search filter", "write it in parentheses, as in (objectClass=inetOrgPerson)")
	}
	return text
}

func (v value) attributes() []string {
	all := v.texts(value.attribute)
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		v.fault("is an empty list", "name an attribute, as in [mail]")
	}
	return all
}

// attribute returns the name of an attribute.
func (v value) attribute() (string, bool) {
	text, ok := v.text()
	if ok && !attributeName.MatchString(text) {
		v.fault(quote(text)+" is not the name of an attribute", "write it as in mail or entryUUID")
		return "", false
	}
	return text, ok
}

// checkUse warns of directories that no domain uses.
func (s section) checkUse(entries []entry) {
	for _, name := range sortedKeys(s.nodes) {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.Directory == name }) {
			value{r: s.r, node: s.nodes[name], around: s.node, path: join(s.path, name)}.warn("is used by no domain", "name it in the directory of a domain, or remove it")
		}
	}
}
