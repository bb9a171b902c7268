package config_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config"
)

// deploy is where the files lie that operators copy from.
const deploy = "../../../deploy"

// TestExample loads the example that operators start from: as it is, and with every key that is turned
// off in it turned on.
func TestExample(t *testing.T) {
	t.Parallel()
	example := readDeploy(t, "persona.example.yaml")
	for name, text := range map[string]string{"as it is": example, "with every key": uncomment(example)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := loadText(t, text, nil); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
	if uncomment(example) == example {
		t.Error("no key of the example is turned off: is the sign for it another now?")
	}
}

// TestApplications loads what the pages about applications show of the configuration: blocks, and lines in the text.
func TestApplications(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../../docs/applications/*.md")
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("(?s)```yaml\n(.*?)```|`((?:identity_headers|access): [^`]+)`").FindAllStringSubmatch(string(text), -1) {
			shown := strings.TrimRight(match[1], "\n")
			if match[2] != "" {
				shown = "    " + strings.ReplaceAll(match[2], "\n", " ")
			}
			if !strings.HasPrefix(shown, "domains:") {
				shown = "domains:\n  - name: example.com\n    upstream: http://website\n    authority: id.example.com\n" + shown
			}
			shown = strings.Replace(shown, "    authority:", "    directory: corp\n    authority:", 1)
			if _, err := loadText(t, shown+"\ndirectories:\n  corp: {preset: openldap, urls: ['ldaps://ldap.example.com'], base_dn: 'dc=example,dc=com'}\n", nil); err != nil {
				t.Errorf("%s: %v\n%s", page, err, shown)
			}
			loaded++
		}
	}
	if loaded < 15 {
		t.Errorf("the pages show %d pieces of the configuration", loaded)
	}
}

// TestExampleIsComplete checks that the example shows every key that the program reads.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(uncomment(readDeploy(t, "persona.example.yaml"))), &tree); err != nil {
		t.Fatal(err)
	}
	shown := []string{"bind_password", "srv", "method", "secret"} // cannot stand beside bind_password_file, urls, url and secret_file
	allKeys(tree, &shown)
	var check func(keys []documented)
	check = func(keys []documented) {
		for _, d := range keys {
			if !slices.Contains(shown, d.name) {
				t.Errorf("the example does not show %s", d.path)
			}
			check(d.keys)
		}
	}
	check(reference(t, reflect.TypeFor[config.Config](), "", comments(t)))
}

// uncomment turns on each key that a # before it turns off. Words follow a # and one space.
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^( *)#(\S|  )`).ReplaceAllString(text, "$1$2")
}

// allKeys appends every key of a tree.
func allKeys(node any, to *[]string) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			*to = append(*to, key)
			allKeys(value, to)
		}
	case []any:
		for _, item := range node {
			allKeys(item, to)
		}
	}
}

// TestKubernetes loads the configuration of the manifest with the environment of the image, and checks
// what the two and the manifest have to agree about.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	objects := manifest(t)
	text := at[string](t, objects["ConfigMap"], "data", "persona.yaml")
	c, err := loadText(t, text, imageEnvironment(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	pod := at[map[string]any](t, objects["Deployment"], "spec", "template", "spec")
	if at[bool](t, pod, "enableServiceLinks") {
		t.Error("service links would bring unknown PERSONA_ variables")
	}
	if got := at[int](t, pod, "securityContext", "runAsUser"); got != 65532 {
		t.Errorf("the pod runs as %d, not as the image's user", got)
	}
	sidecar := at[[]any](t, pod, "containers")[0].(map[string]any)
	ports := map[string]string{}
	for _, entry := range at[[]any](t, sidecar, "ports") {
		port := entry.(map[string]any)
		ports[port["name"].(string)] = yamlText(t, port["containerPort"])
	}
	for name, address := range map[string]string{"https": c.Listen.HTTPS, "http": c.Listen.HTTP, "admin": c.Listen.Admin} {
		if ":"+ports[name] != address {
			t.Errorf("the container's port %s is %s, and the program listens on %s", name, ports[name], address)
		}
	}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		if got := at[string](t, sidecar, probe, "httpGet", "port"); got != "admin" {
			t.Errorf("the %s asks the port %s", probe, got)
		}
	}
	if !at[bool](t, sidecar, "securityContext", "readOnlyRootFilesystem") {
		t.Error("the root can be written")
	}
	for _, entry := range at[[]any](t, objects["Service"], "spec", "ports") {
		if target := entry.(map[string]any)["targetPort"]; target == "admin" {
			t.Error("the admin listener is published")
		}
	}
	for _, entry := range at[[]any](t, objects["NetworkPolicy"], "spec", "ingress") {
		rule := entry.(map[string]any)
		for _, port := range at[[]any](t, rule, "ports") {
			name := at[string](t, port.(map[string]any), "port")
			if _, found := ports[name]; !found {
				t.Errorf("the policy names the port %s, which the container has not", name)
			}
			if _, closed := rule["from"]; closed != (name == "admin") {
				t.Errorf("the policy lets those in to %s: %v", name, rule["from"])
			}
		}
	}
	if got, want := at[map[string]any](t, objects["NetworkPolicy"], "spec", "podSelector"), at[map[string]any](t, objects["Deployment"], "spec", "selector"); !reflect.DeepEqual(got, want) {
		t.Errorf("the policy is for %v", got)
	}
}

// TestComposeFile loads the environment that the compose file gives the program, with the values of .env.example
// and with as few as it may have, and checks that the three services are locked down alike.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	var file map[string]any
	if err := yaml.Unmarshal([]byte(readDeploy(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	// What the Dockerfile stamps on the program comes from .env; the build sees no repository.
	for name, fallback := range map[string]string{"VERSION": "dev", "REVISION": "unknown"} {
		text := at[string](t, file, "services", "persona", "build", "args", name)
		for _, values := range []map[string]string{{}, {name: ""}} {
			if got := interpolate(t, text, values); got != fallback {
				t.Errorf("the image is built with %s=%q", name, got)
			}
		}
		if got := interpolate(t, text, map[string]string{name: "v1.2.3"}); got != "v1.2.3" {
			t.Errorf("the image is built with %s=%q", name, got)
		}
		if !strings.Contains(readDeploy(t, "../Dockerfile"), "ARG "+name+"=") {
			t.Errorf("the Dockerfile takes no %s", name)
		}
	}
	environment := at[map[string]any](t, file, "services", "persona", "environment")
	for name, values := range map[string]map[string]string{
		".env.example": dotEnv(t), "least": {"DOMAIN": "example.com", "IDENTITY_HOST": "id.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := imageEnvironment(t)
			for variable, text := range environment {
				environ = append(environ, variable+"="+interpolate(t, text.(string), values))
			}
			c, err := config.Load("", environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Domains[0]; got.Name != "example.com" || got.Authority != "id.example.com" || c.Listen.HTTPS != ":8443" {
				t.Errorf("the program serves %+v on %s", got, c.Listen.HTTPS)
			}
		})
	}
	for name := range at[map[string]any](t, file, "services") {
		service := at[map[string]any](t, file, "services", name)
		if restart := at[string](t, service, "restart"); restart != "on-failure" {
			t.Errorf("%s restarts %s", name, restart)
		}
		if !at[bool](t, service, "read_only") || yamlText(t, service["cap_drop"]) != "- ALL" || yamlText(t, service["security_opt"]) != "- no-new-privileges:true" {
			t.Errorf("%s is not locked down: %v", name, service)
		}
		if _, published := service["ports"]; published != (name == "persona") {
			t.Errorf("%s has ports: %v", name, service["ports"])
		}
	}
}

// TestImageListen keeps the image's own settings from those of files: a file that sets them too is told
// where the other value comes from.
func TestImageListen(t *testing.T) {
	t.Parallel()
	const file = `listen: {https: ":443"}
domains: [{name: example.com, upstream: "http://127.0.0.1:8081"}]`
	_, err := loadText(t, file, imageEnvironment(t))
	if err == nil || !strings.Contains(err.Error(), "container image") {
		t.Errorf("the error does not speak of the image: %v", err)
	}
}

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// loadText loads a file for which the files it names are there.
func loadText(t *testing.T, text string, environ []string) (*config.Config, error) {
	t.Helper()
	folder := t.TempDir()
	roots, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"ldap_password": []byte("hunter2\n"), "directory-ca.pem": roots, "acme-ca.pem": roots, "lookups-ca.pem": roots, "website-ca.pem": roots,
		"grafana.secret": []byte("0123456789abcdef\n"), "tool.secret": []byte("0123456789abcdef\n"),
		"acme-mac-key": []byte("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text = regexp.MustCompile(`/run/[a-z./]+/ldap_password`).ReplaceAllString(text, "ldap_password")
	path := filepath.Join(folder, "persona.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, environ)
}

// imageEnvironment is what the Dockerfile sets for the program.
func imageEnvironment(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`PERSONA_[A-Z_]+=\S+`).FindAllString(string(data), -1)
	if len(found) == 0 {
		t.Fatal("the Dockerfile sets nothing")
	}
	return found
}

// dotEnv is what .env.example sets.
func dotEnv(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(readDeploy(t, ".env.example"), -1) {
		values[match[1]] = match[2]
	}
	return values
}

// interpolate puts values into a text as Compose does, and files of the test where the containers have theirs.
func interpolate(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	text = regexp.MustCompile(`\$\{([A-Z_]+):([-?])([^}]*)\}`).ReplaceAllStringFunc(text, func(found string) string {
		name, rest, _ := strings.Cut(strings.Trim(found, "${}"), ":")
		switch value := values[name]; {
		case value != "":
			return value
		case rest[0] == '?':
			t.Errorf("%s %s", name, rest[1:])
		}
		return rest[1:]
	})
	text = strings.Replace(text, "/run/secrets/ldap_password", "testdata/password", 1)
	return strings.Replace(text, "/directory-ca/ca.pem", "testdata/ca.pem", 1)
}

// manifest returns the objects of the Kubernetes manifest by their kind.
func manifest(t *testing.T) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(readDeploy(t, "kubernetes.yaml"))))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects[object["kind"].(string)] = object
	}
}

// at returns the value at a path of keys.
func at[T any](t *testing.T, in map[string]any, path ...string) T {
	t.Helper()
	var node any = in
	for _, key := range path {
		mapping, ok := node.(map[string]any)
		if !ok {
			t.Fatalf("nothing at %v", path)
		}
		node = mapping[key]
	}
	value, ok := node.(T)
	if !ok {
		t.Fatalf("%v is %#v", path, node)
	}
	return value
}

func yamlText(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestPresetsAreDocumented checks that docs/identity-headers.md has the names of each preset.
func TestPresetsAreDocumented(t *testing.T) {
	t.Parallel()
	manual := readDeploy(t, "../docs/identity-headers.md")
	for _, preset := range []string{"remote", "webauth", "jenkins", "x-remote-user"} {
		c, err := config.Load("", whole("PERSONA_AUTHORITY=id.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		headers := c.Domains[0].IdentityHeaders
		headers.On, headers.Preset = true, preset
		headers.Complete(func(string) bool { return false })
		names := headers.Names
		for _, name := range []string{names.User, names.Email, names.Name, names.Groups, names.ID, names.Assertion} {
			if name != "" && !strings.Contains(manual, "| `"+name+"` |") {
				t.Errorf("preset %s has %s, and the manual does not", preset, name)
			}
		}
	}
}
