package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const variablePrefix = "PERSONA_"

// variable is an environment variable and the key that it stands for.
type variable struct {
	name string
	path string // domains[] is the one domain, directories.* the one directory
	list bool   // items parted by commas or blanks
}

// variables are all that there are.
func variables() []variable {
	return []variable{
		{name: "PERSONA_DOMAIN", path: "domains[].name"},
		{name: "PERSONA_UPSTREAM", path: "domains[].upstream"},
		{name: "PERSONA_HOSTS", path: "domains[].hosts", list: true},
		{name: "PERSONA_AUTHORITY", path: "domains[].authority"},
		{name: "PERSONA_CERTIFIES", path: "domains[].certifies", list: true},
		{name: "PERSONA_TLS_MODE", path: "tls.mode"},
		{name: "PERSONA_TLS_CERT_FILE", path: "tls.cert_file"},
		{name: "PERSONA_TLS_KEY_FILE", path: "tls.key_file"},
		{name: "PERSONA_ACME_EMAIL", path: "tls.acme.email"},
		{name: "PERSONA_ACME_DIRECTORY", path: "tls.acme.directory"},
		{name: "PERSONA_ACME_CA_FILE", path: "tls.acme.ca_file"},
		{name: "PERSONA_LDAP_URLS", path: "directories.*.urls", list: true},
		{name: "PERSONA_LDAP_PRESET", path: "directories.*.preset"},
		{name: "PERSONA_LDAP_START_TLS", path: "directories.*.start_tls"},
		{name: "PERSONA_LDAP_INSECURE_PLAINTEXT", path: "directories.*.insecure_plaintext"},
		{name: "PERSONA_LDAP_CA_FILE", path: "directories.*.ca_file"},
		{name: "PERSONA_LDAP_BIND_DN", path: "directories.*.bind_dn"},
		{name: "PERSONA_LDAP_BIND_PASSWORD", path: "directories.*.bind_password"},
		{name: "PERSONA_LDAP_BIND_PASSWORD_FILE", path: "directories.*.bind_password_file"},
		{name: "PERSONA_LDAP_BASE_DN", path: "directories.*.base_dn"},
		{name: "PERSONA_LDAP_REQUIRED_GROUP", path: "directories.*.required_group"},
		{name: "PERSONA_STATE_DIR", path: "state_dir"},
		{name: "PERSONA_LISTEN_HTTPS", path: "listen.https"},
		{name: "PERSONA_LISTEN_HTTP", path: "listen.http"},
		{name: "PERSONA_LISTEN_ADMIN", path: "listen.admin"},
		{name: "PERSONA_PUBLIC_HTTPS", path: "listen.public_https"},
		{name: "PERSONA_TRUSTED_PROXIES", path: "trusted_proxies", list: true},
		{name: "PERSONA_LOG_LEVEL", path: "log.level"},
		{name: "PERSONA_LOG_FORMAT", path: "log.format"},
	}
}

// variableOf returns the variable for the key at a path, or "".
func variableOf(path string) string {
	parts := strings.Split(path, ".")
	if parts[0] == "domains[0]" {
		parts[0] = "domains[]"
	}
	if parts[0] == "directories" && len(parts) > 2 {
		// A directory's name may have dots.
		parts = []string{parts[0], "*", parts[len(parts)-1]}
	}
	general := strings.Join(parts, ".")
	for _, known := range variables() {
		if known.path == general {
			return known.name
		}
	}
	switch path {
	case "domains":
		return "PERSONA_DOMAIN"
	case "directories":
		return "PERSONA_LDAP_URLS"
	}
	return ""
}

// overlay puts the values of the environment into the tree where the file left
// room, and says whether any of them tells what to serve.
func (r *reader) overlay(root *yaml.Node, environ []string) bool {
	set := map[string]string{}
	for _, assignment := range environ {
		name, text, _ := strings.Cut(assignment, "=")
		if strings.HasPrefix(name, variablePrefix) {
			set[name] = text
		}
	}
	speaks := false
	for _, known := range variables() {
		text, ok := set[known.name]
		delete(set, known.name)
		// Compose files hand on variables that are not set as empty ones. Only a
		// listener is turned off that way.
		if !ok || text == "" && !strings.HasPrefix(known.name, "PERSONA_LISTEN_") {
			continue
		}
		speaks = speaks || strings.HasPrefix(known.path, "domains") || strings.HasPrefix(known.path, "directories")
		r.put(root, known, text)
	}
	for _, name := range sortedKeys(set) {
		r.unknownVariable(name)
	}
	r.joinDirectory(root)
	return speaks
}

// unknownVariable refuses a variable, unless it is one of those with which
// orchestrators describe a service called persona.
func (r *reader) unknownVariable(name string) {
	if strings.HasPrefix(name, "PERSONA_PORT") || strings.HasPrefix(name, "PERSONA_SERVICE_") {
		return
	}
	var known []string
	for _, v := range variables() {
		known = append(known, v.name)
	}
	cure := "remove it"
	near := nearest(name, known)
	switch {
	case name == "PERSONA_CONFIG":
		cure = "name the file with the flag -config"
	case near != "":
		cure = fmt.Sprintf("did you mean %s?", near)
	case strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT"):
		cure = "if Kubernetes made it for another service, set enableServiceLinks: false for the pod"
	}
	r.faults = append(r.faults, Fault{File: Environment, Key: shorten(name), Problem: "is not a known variable", Cure: cure})
}

// put sets the value of one variable, unless the file has a value there.
func (r *reader) put(root *yaml.Node, known variable, text string) {
	refuse := func(problem, cure string) {
		r.faults = append(r.faults, Fault{File: Environment, Key: known.name, Problem: problem, Cure: cure})
	}
	node := root
	steps := strings.Split(strings.ReplaceAll(known.path, "[]", ".[]"), ".")
	for i, step := range steps {
		if i == len(steps)-1 {
			if there := lookup(node, step); there != nil && !isNull(there) {
				cure := "keep one of them"
				if steps[0] == "listen" {
					cure += "; the container image sets this variable, so there remove it from the file"
				}
				refuse(fmt.Sprintf("the file gives %s too, on line %d", step, there.Line), cure)
				return
			}
			assign(node, step, r.node(known, text))
			return
		}
		next, many := descend(node, step, steps[i+1])
		switch {
		case many:
			refuse(fmt.Sprintf("the file has more than one of %s, and a variable cannot say which it means", steps[0]), "write it into the file")
			return
		case next == nil: // a fault of the file that is found when it is read
			return
		}
		node = next
	}
}

// descend returns the node to which a step leads, making it where there is none.
// many says that there are several to choose from.
func descend(node *yaml.Node, step, then string) (next *yaml.Node, many bool) {
	kind := yaml.MappingNode
	if then == "[]" {
		kind = yaml.SequenceNode
	}
	made := &yaml.Node{Kind: kind}
	switch step {
	case "[]":
		if len(node.Content) == 0 {
			node.Content = append(node.Content, made)
		}
		next, many = resolve(node.Content[0]), len(node.Content) > 1
	case "*":
		if len(node.Content) == 0 {
			assign(node, EnvironmentDirectory, made)
		}
		next, many = resolve(node.Content[1]), len(node.Content) > 2
	default:
		next = lookup(node, step)
		if next == nil || isNull(next) {
			next = made
			assign(node, step, made)
		}
	}
	if next.Kind != kind {
		return nil, false
	}
	return next, many
}

// lookup returns the value of a key of a mapping, nil if there is none.
func lookup(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if resolve(mapping.Content[i]).Value == key {
			return resolve(mapping.Content[i+1])
		}
	}
	return nil
}

// assign sets the value of a key of a mapping.
func assign(mapping *yaml.Node, key string, node *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if resolve(mapping.Content[i]).Value == key {
			mapping.Content[i+1] = node
			return
		}
	}
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	mapping.Content = append(mapping.Content, name, node)
}

// node returns the text of a variable as if it stood in a file.
func (r *reader) node(known variable, text string) *yaml.Node {
	scalar := func(text string) *yaml.Node {
		node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: text}
		r.variables[node] = known.name
		return node
	}
	if !known.list {
		return scalar(text)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	r.variables[list] = known.name
	for _, item := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
		list.Content = append(list.Content, scalar(item))
	}
	return list
}

// joinDirectory gives the one domain the directory that the environment
// describes, because no variable names directories.
func (r *reader) joinDirectory(root *yaml.Node) {
	directories, domains := lookup(root, "directories"), lookup(root, "domains")
	if directories == nil || directories.Line > 0 || domains == nil || domains.Kind != yaml.SequenceNode || len(domains.Content) != 1 {
		return
	}
	domain := resolve(domains.Content[0])
	if domain.Kind != yaml.MappingNode {
		return
	}
	if lookup(domain, "directory") == nil && lookup(domain, "disabled") == nil {
		assign(domain, "directory", r.node(variable{name: "PERSONA_LDAP_URLS"}, EnvironmentDirectory))
	}
}
