package config_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// TestReference writes docs/configuration.md and deploy/persona.example.yaml
// from the tags and comments of the configuration's fields, and compares them
// with the files of the repository. With -update, as go generate runs it, it
// replaces those.
func TestReference(t *testing.T) { // not parallel: other tests read what it writes
	keys := reference(t, reflect.TypeFor[config.Config](), "", comments(t))
	for path, want := range map[string]string{
		"../../../docs/configuration.md":       manual(t, keys),
		"../../../deploy/persona.example.yaml": example(t, keys),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what go generate ./cmd/internal/config writes (%v)", filepath.Clean(path), err)
		}
	}
}

// TestVariablesAreUnique checks that no variable sets two keys: only the first
// would be set.
func TestVariablesAreUnique(t *testing.T) {
	t.Parallel()
	first := map[string]string{}
	var check func(keys []documented)
	check = func(keys []documented) {
		for _, d := range keys {
			check(d.keys)
			if other := first[d.variable]; d.variable != "" && other != "" {
				t.Errorf("%s sets %s and %s", d.variable, other, d.path)
			}
			first[d.variable] = d.path
		}
	}
	check(reference(t, reflect.TypeFor[config.Config](), "", comments(t)))
}

// documented is one key as the documents show it.
type documented struct {
	path     string // as in domains[].name and directories.NAME.urls
	name     string
	variable string
	meaning  string
	kind     string // what its text is
	fallback string // default, in YAML
	example  string // in YAML
	restart  bool   // its change needs a restart
	keys     []documented
}

// comments returns the comments of the fields of the configuration, as "Type.Field".
func comments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"config.go", "identity.go", "website/headers.go", "website/access.go", "website/neighbour.go", "website/app.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.TypeSpec)
			if !is {
				return true
			}
			if structure, is := spec.Type.(*ast.StructType); is {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						all[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return all
}

// reference returns the keys of a section.
func reference(t *testing.T, section reflect.Type, path string, comments map[string]string) []documented {
	t.Helper()
	var all []documented
	for i := range section.NumField() {
		field := section.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" || field.Name == "_" { // of a later release
			continue
		}
		d := documented{path: strings.TrimPrefix(path+"."+name, "."), name: name, meaning: comments[section.Name()+"."+field.Name]}
		if d.meaning == "" {
			t.Errorf("the field of %s has no comment", d.path)
		}
		inner := field.Type
		if of := "domains[]." + name; path == "forward_auth[]" && (name == "access" || name == "identity_headers") {
			d.kind = fmt.Sprintf("as [`%s`](#%s)", of, anchor(of))
			all = append(all, d)
			continue
		}
		switch as, _, _ := strings.Cut(field.Tag.Get("as"), " "); {
		case as == "" && inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
			d.keys = reference(t, inner.Elem(), d.path+"[]", comments)
		case inner.Kind() == reflect.Map:
			d.keys = reference(t, inner.Elem(), d.path+".NAME", comments)
		case as == "" && inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.Secret]():
			d.keys = reference(t, inner, d.path, comments)
		case as == "switch":
			d.keys, d.variable = reference(t, inner, d.path, comments), field.Tag.Get("env")
		default:
			d.variable, d.kind, d.example = field.Tag.Get("env"), kind(t, field), field.Tag.Get("example")
			d.fallback, d.restart = inYAML(t, field), field.Tag.Get("restart") == "yes"
		}
		if inner == reflect.TypeFor[config.Secret]() && !strings.HasSuffix(name, "_file") {
			text, file := d, d
			text.example = "" // a secret in the file is the second choice
			file.path, file.name, file.variable = d.path+"_file", d.name+"_file", d.variable+"_FILE"
			file.kind, file.meaning = "path of a file that holds the text", fmt.Sprintf("Instead of %s: a file with it.", name)
			all = append(all, text, file)
			continue
		}
		all = append(all, d)
	}
	return all
}

// inYAML returns the default of a field as YAML.
func inYAML(t *testing.T, field reflect.StructField) string {
	t.Helper()
	text, has := field.Tag.Lookup("default")
	switch {
	case !has:
		return ""
	case field.Type.Kind() == reflect.Slice:
		return "[" + text + "]"
	case strings.HasPrefix(text, ":") || strings.Contains(text, "."):
		return fmt.Sprintf("%q", text)
	}
	return text
}

// kind says what the text of a key is.
func kind(t *testing.T, field reflect.StructField) string {
	t.Helper()
	as, argument, _ := strings.Cut(field.Tag.Get("as"), " ")
	inner := field.Type
	if inner.Kind() == reflect.Slice {
		inner = inner.Elem()
	}
	bounds := field.Tag.Get("min") + " to " + field.Tag.Get("max")
	words := strings.Fields(argument)
	kinds := map[string]string{
		"string":        "text",
		"bool":          "`true` or `false`",
		"int":           "whole number, " + bounds,
		"time.Duration": "duration such as `90s`, `30m` or `1h30m`, " + bounds,
		"strict.Secret": "text",
		"word":          strings.TrimPrefix("`"+strings.Join(words[:max(len(words)-1, 0)], "`, `")+"` or `"+strings.Join(words[max(len(words)-1, 0):], "")+"`", "`` or "),
		"path":          "path",
		"roots":         "path of a PEM file",
		"moreRoots":     "path of a PEM file",
		"macKeyFile":    "path of a file that holds the key",
		"listen":        "address such as `\":443\"`, `\"127.0.0.1:443\"` or `\"[::1]:443\"`, or `\"\"` for none",
		"proxy":         "address, network such as `10.0.0.0/8`, or `private`",
		"private":       "address, network such as `10.0.0.0/8`, `private`, or host name",
		"host":          "host name",
		"hostOrAddress": "host name, or IP address where `tls.mode` is not `acme`",
		"mailDomain":    "host name, or `\"*\"`",
		"authority":     "host name, with a port if the host is not served here and the port is not 443",
		"address":       "IP address",
		"upstream":      "URL `http://HOST[:PORT]`, `https://HOST[:PORT]`, `unix:/PATH`, `h2c://HOST[:PORT]` or `h2://HOST[:PORT]`",
		"ldap":          "URL `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`",
		"page":          "URL `https://HOST[:PORT][/PATH]`, with a query or a fragment if it needs them",
		"hub":           "URL `https://HOST[:PORT][/PATH]`",
		"relyingParty":  "origin `https://HOST[:PORT]`, `https://*.HOST[:PORT]`, or `\"*\"`; `http://` for localhost alone",
		"acme":          "URL `https://…`, or `staging`",
		"email":         "e-mail address",
		"keyID":         "ASCII text without blanks",
		"dn":            "distinguished name",
		"base":          "distinguished name, or `\"\"` for all of the server",
		"group":         "distinguished name, or name",
		"bindName":      "distinguished name, `NAME@DOMAIN` or `DOMAIN\\NAME`",
		"srv":           "domain, or `ldaps://DOMAIN`",
		"filter":        "LDAP filter",
		"attribute":     "attribute name",
		"fieldName":     "name of a field, or `\"\"` for none",
		"separator":     "one character of ASCII, neither letter nor digit",
		"groupName":     "name of a group",
		"groupPattern":  "name of a group, or the beginning of names followed by `*`",
		"rulePath":      "path",
		"origin":        "origin `https://HOST[:PORT]`",
		"cookieName":    "name of a cookie",
		"cookiePath":    "path",
		"appID":         "up to 64 letters, digits, dots, underscores and hyphens",
		"appName":       "text, up to 80 bytes",
		"appURL":        "URL `https://HOST[:PORT][/PATH]`; `http://` for loopback alone",
		"redirectURI":   "URL, compared character by character",
		"logoutURI":     "URL, or `\"\"` for none",
		"claimName":     "name of a claim",
	}
	text, known := kinds[cmp.Or(as, inner.String())]
	if !known {
		t.Errorf("say in this test what the text of %s is", field.Name)
	}
	if field.Type.Kind() == reflect.Slice || field.Type == reflect.TypeFor[config.Private]() || field.Type == reflect.TypeFor[config.Proxies]() {
		text = map[bool]string{true: "one, or a list; each item: ", false: "list; each item: "}[as == "base"] + text
	}
	return text
}

const manualHead = `# Configuration

Generated from the types of cmd/internal/config by ` + "`go generate ./cmd/internal/config`" + `.

The configuration is one YAML file, ` + "`/etc/persona/persona.yaml`" + ` or the one that ` + "`-config`" + ` names. For one domain, environment
variables alone are enough. A variable can also complete a file that has at most one domain and at most one directory; the
same key in both is an error.

- Unknown keys and unknown ` + "`PERSONA_`" + ` variables are errors. All errors are listed at once, with file, line and what to do.
- A relative path is taken from the folder of the file, in a variable from the working directory.
- A list in a variable is separated by commas or blanks. An empty variable counts as not set, except that an empty
  ` + "`PERSONA_LISTEN_`" + ` variable turns the listener off.
- A secret can be given as a text or, with ` + "`_file`" + ` after its key, as the path of a file that holds it; one line end at the end
  of the file is ignored. Secrets appear in no log and no message.
- SIGHUP makes the running program read the configuration again, without dropping a connection. One with faults is refused, and the
  previous one stays in use. A key that needs a restart says so below; so does a change of ` + "`tls.mode`" + ` from or to ` + "`off`" + `.
- YAML's anchors and aliases are read, merge keys (` + "`<<`" + `) are refused.

[deploy/persona.example.yaml](../deploy/persona.example.yaml) shows every key in a file.

`

// manual returns docs/configuration.md: a table of all keys, and a part for each.
func manual(t *testing.T, keys []documented) string {
	t.Helper()
	var b, parts strings.Builder
	b.WriteString(manualHead + "| key | default | variable |\n|---|---|---|\n")
	var write func(keys []documented)
	write = func(keys []documented) {
		for _, d := range keys {
			fmt.Fprintf(&parts, "%s `%s`\n\n%s\n\n", map[bool]string{true: "##", false: "###"}[d.keys != nil && !strings.Contains(d.path, "[].") || !strings.Contains(d.path, ".")], d.path, wrap("", d.meaning))
			if d.keys != nil {
				if d.variable != "" {
					fmt.Fprintf(&b, "| [`%s`](#%s) | `false` | %s |\n", d.path, anchor(d.path), code(d.variable))
					fmt.Fprintf(&parts, "- Value: `true`, `false`, or the keys below\n- Default: `false`\n- Variable: %s\n\n", code(d.variable))
				}
				write(d.keys)
				continue
			}
			fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", d.path, anchor(d.path), code(d.fallback), code(d.variable))
			fmt.Fprintf(&parts, "- Value: %s\n", d.kind)
			for _, fact := range []struct{ name, text string }{{"Default", d.fallback}, {"Variable", d.variable}} {
				if fact.text != "" {
					fmt.Fprintf(&parts, "- %s: %s\n", fact.name, code(fact.text))
				}
			}
			if d.example != "" {
				fmt.Fprintf(&parts, "- Example: %s\n", code(d.name+": "+d.example))
			}
			if d.restart {
				parts.WriteString("- A change needs a restart.\n")
			}
			parts.WriteString("\n")
		}
	}
	write(keys)
	return b.String() + "\n" + strings.TrimRight(parts.String(), "\n") + "\n"
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// anchor returns the fragment of a heading, as GitHub makes it.
func anchor(path string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(path))
}
