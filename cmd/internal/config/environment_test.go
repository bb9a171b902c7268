package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/cmd/internal/config"
)

// whole is an environment that is a configuration by itself.
func whole(more ...string) []string {
	return append([]string{
		"PATH=/bin",
		"PERSONA_DOMAIN=example.com",
		"PERSONA_UPSTREAM=http://cms:8080",
		"PERSONA_LDAP_PRESET=openldap",
		"PERSONA_LDAP_URLS=ldaps://ldap1.example.com, ldaps://ldap2.example.com",
		"PERSONA_LDAP_BIND_DN=cn=persona,dc=example,dc=com",
		"PERSONA_LDAP_BIND_PASSWORD=hunter2",
		"PERSONA_LDAP_BASE_DN=dc=example,dc=com",
	}, more...)
}

func TestEnvironmentAlone(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", whole(
		"PERSONA_HOSTS=www.example.com shop.example.com",
		"PERSONA_IDENTITY_HEADERS=true",
		"PERSONA_AUTHORITY=id.example.com",
		"PERSONA_CERTIFIES=sister.example",
		"PERSONA_LDAP_START_TLS=true",
		"PERSONA_LDAP_CA_FILE=testdata/ca.pem",
		"PERSONA_STATE_DIR=state",
		"PERSONA_LISTEN_HTTPS=:8443",
		"PERSONA_LISTEN_HTTP=",
		"PERSONA_LISTEN_ADMIN=:9180",
		"PERSONA_PUBLIC_HTTPS=443",
		"PERSONA_TRUSTED_PROXIES=private,192.0.2.1",
		"PERSONA_ACME_EMAIL=admin@example.com",
		"PERSONA_ACME_DIRECTORY=https://ca.example.com/directory",
		"PERSONA_ACME_CA_FILE=testdata/ca.pem",
		"PERSONA_LOG_LEVEL=warn",
		"PERSONA_LOG_FORMAT=console",
		// Empty ones, as compose files make them, and those of orchestrators.
		"PERSONA_TLS_CERT_FILE=",
		"PERSONA_LDAP_REQUIRED_GROUP=",
		"PERSONA_PORT=tcp://10.0.0.1:443",
		"PERSONA_PORT_443_TCP_ADDR=10.0.0.1",
		"PERSONA_SERVICE_HOST=10.0.0.1",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := `StateDir state
Listen.HTTPS :8443
Listen.HTTP ""
Listen.Admin :9180
TLS.ACME.Email admin@example.com
TLS.ACME.Directory https://ca.example.com/directory
TLS.ACME.Roots given
TrustedProxies.Listed [192.0.2.1/32]
TrustedProxies.Private true
Log.Level warn
Log.Format console
host example.com
  of example.com: delegating, upstream http://cms:8080
  its website cannot end sign-ins
  authority id.example.com
  its website is told of sign-ins at id.example.com
host www.example.com
  of example.com: plain, upstream http://cms:8080
  its website cannot end sign-ins
  its website is told of sign-ins at id.example.com
host shop.example.com
  of example.com: plain, upstream http://cms:8080
  its website cannot end sign-ins
  its website is told of sign-ins at id.example.com
host id.example.com
  of example.com: identity, upstream <nil>
  directory ldap, signs for [id.example.com example.com sister.example], hubs []
example.com IdentityHeaders.On true
example.com IdentityHeaders.Names.User Remote-User
example.com IdentityHeaders.Names.Email Remote-Email
example.com IdentityHeaders.Names.Name Remote-Name
example.com IdentityHeaders.Names.Groups Remote-Groups
example.com IdentityHeaders.Names.ID Remote-Id
example.com IdentityHeaders.Names.Assertion X-Persona-Assertion
example.com IdentityHeaders.GroupSeparator ,
directory ldap
  Preset openldap
  URLs [ldaps://ldap1.example.com ldaps://ldap2.example.com]
  StartTLS true
  Roots given
  BindDN cn=persona,dc=example,dc=com
  BindPassword [hidden]
  BaseDNs [dc=example,dc=com]
  password of 7 bytes
`
	if diff := cmp.Diff(want, dump(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnvironmentForms(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"staging":           whole("PERSONA_ACME_DIRECTORY=staging"),
		"own certificate":   whole("PERSONA_TLS_CERT_FILE=a", "PERSONA_TLS_KEY_FILE=b"),
		"files":             whole("PERSONA_TLS_MODE=files", "PERSONA_TLS_CERT_FILE=a", "PERSONA_TLS_KEY_FILE=b"),
		"off":               whole("PERSONA_TLS_MODE=off", "PERSONA_TRUSTED_PROXIES=private"),
		"only proxied":      {"PERSONA_DOMAIN=example.com", "PERSONA_UPSTREAM=http://cms"},
		"delegating":        {"PERSONA_DOMAIN=example.com", "PERSONA_AUTHORITY=id.elsewhere.example"},
		"password null":     whole("PERSONA_LDAP_BIND_PASSWORD=null"),
		"password in file":  whole("PERSONA_LDAP_BIND_PASSWORD=", "PERSONA_LDAP_BIND_PASSWORD_FILE=testdata/password"),
		"clear text":        whole("PERSONA_LDAP_URLS=ldap://ldap", "PERSONA_LDAP_INSECURE_PLAINTEXT=true"),
		"password of signs": whole("PERSONA_LDAP_BIND_PASSWORD= #a=b "),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := config.Load("", environ); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEnvironmentPasswordAsItIs(t *testing.T) {
	t.Parallel()
	for _, password := range []string{" #a=b ", "null", "true", "~", "a, b", "*x"} {
		c, err := config.Load("", whole("PERSONA_LDAP_BIND_PASSWORD="+password))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Directories[config.EnvironmentDirectory].BindPassword.Reveal(); got != password {
			t.Errorf("got password %q, want %q", got, password)
		}
	}
}

func TestNoConfiguration(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{nil, {"PATH=/bin"}, {"PERSONA_PORT=tcp://10.0.0.1:443"}, {"PERSONA_DOMAIN="}, {"PERSONA_LISTEN_HTTP=:8080"}} {
		if _, err := config.Load("", environ); !errors.Is(err, config.ErrNone) {
			t.Errorf("%v: got error %v, want ErrNone", environ, err)
		}
	}
}

func TestBadEnvironment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		environ []string
		want    string
	}{
		{
			"no domain at all",
			[]string{"PERSONA_LDAP_PRESET=openldap", "PERSONA_LDAP_URLS=ldaps://x", "PERSONA_LDAP_BASE_DN=dc=x"},
			"environment: PERSONA_DOMAIN: is missing (name at least one, as in example.com)",
		},
		{
			"no domain",
			[]string{"PERSONA_UPSTREAM=http://cms"},
			"environment: PERSONA_DOMAIN: is missing (write it, as in example.com)",
		},
		{
			"nothing to do",
			[]string{"PERSONA_DOMAIN=example.com"},
			"environment: PERSONA_UPSTREAM: is missing (a domain without a website needs directory, authority or disabled)",
		},
		{
			"half a directory",
			[]string{"PERSONA_DOMAIN=example.com", "PERSONA_LDAP_URLS=ldap://ldap", "PERSONA_LDAP_BIND_DN=cn=persona"},
			`environment: PERSONA_LDAP_BASE_DN: is missing (name the entry below which all people are, as in dc=example,dc=com)
environment: PERSONA_LDAP_BIND_PASSWORD_FILE: is missing (PERSONA_LDAP_BIND_DN needs a password)
environment: PERSONA_LDAP_PRESET: is missing (write PERSONA_LDAP_PRESET=openldap, or custom)
environment: PERSONA_LDAP_URLS: "ldap://ldap" would send passwords in clear text (use ldaps://, or PERSONA_LDAP_START_TLS=true; for a test alone, PERSONA_LDAP_INSECURE_PLAINTEXT=true)`,
		},
		{
			"custom has no variables", whole("PERSONA_LDAP_PRESET=custom"),
			`environment: directories.ldap.address_attributes: is missing (only a file can give it: preset custom knows none by itself)
environment: directories.ldap.id_attribute: is missing (only a file can give it: preset custom knows none by itself)
environment: directories.ldap.login_attributes: is missing (only a file can give it: preset custom knows none by itself)
environment: directories.ldap.user_filter: is missing (only a file can give it: preset custom knows none by itself)`,
		},
		{
			"unknown", whole("PERSONA_LDAP_URL=x", "PERSONA_LDAP_SERVICE_HOST=x", "PERSONA_CONFIG=x", "PERSONA_=", "PERSONA_NONSENSE=hunter2"),
			`environment: PERSONA_: is not a known variable (remove it)
environment: PERSONA_CONFIG: is not a known variable (name the file with the flag -config)
environment: PERSONA_LDAP_SERVICE_HOST: is not a known variable (if Kubernetes made it for another service, set enableServiceLinks: false for the pod)
environment: PERSONA_LDAP_URL: is not a known variable (did you mean PERSONA_LDAP_URLS?)
environment: PERSONA_NONSENSE: is not a known variable (remove it)`,
		},
		{
			"values",
			whole("PERSONA_DOMAIN=Example.com", "PERSONA_HOSTS=a,a,b:1", "PERSONA_PUBLIC_HTTPS=x", "PERSONA_LDAP_START_TLS=yes", "PERSONA_IDENTITY_HEADERS=remote", "PERSONA_LOG_LEVEL=loud", "PERSONA_TLS_MODE=on", "PERSONA_LISTEN_HTTPS=", "PERSONA_LDAP_BIND_PASSWORD_FILE=/nonexistent/x"),
			`environment: PERSONA_DOMAIN: "Example.com" has upper-case letters (write example.com)
environment: PERSONA_HOSTS: "a" is listed twice (remove one)
environment: PERSONA_HOSTS: "b:1" has a port (write b; ports belong under listen)
environment: PERSONA_IDENTITY_HEADERS: "remote" is neither true nor false (write true or false)
environment: PERSONA_LDAP_BIND_PASSWORD_FILE: the file /nonexistent/x does not exist (create it, or correct the path)
environment: PERSONA_LDAP_BIND_PASSWORD_FILE: is given together with PERSONA_LDAP_BIND_PASSWORD (keep one of them)
environment: PERSONA_LDAP_START_TLS: "yes" is neither true nor false (write true or false)
environment: PERSONA_LOG_LEVEL: "loud" is not a known value (use debug, info, warn or error)
environment: PERSONA_PUBLIC_HTTPS: "x" is not a whole number that fits (write 1 to 65535)
environment: PERSONA_TLS_MODE: "on" is not a known value (use acme, files or off)`,
		},
		{
			"half a group", whole("PERSONA_LDAP_REQUIRED_GROUP=cn=staff,ou"),
			`environment: PERSONA_LDAP_REQUIRED_GROUP: "cn=staff,ou" is not a distinguished name (write it as in cn=staff,ou=groups,dc=example,dc=com)`,
		},
		{
			"off without trust", whole("PERSONA_TLS_MODE=off", "PERSONA_LISTEN_HTTP="),
			`environment: PERSONA_LISTEN_HTTP: is empty (TLS mode off serves plain HTTP there: write :80 or another address)
environment: PERSONA_TRUSTED_PROXIES: names no proxy (TLS mode off needs the address of the proxy that ends TLS, or the word private)`,
		},
		{
			"files without files", whole("PERSONA_TLS_MODE=files"),
			`environment: PERSONA_TLS_CERT_FILE: is missing (PERSONA_TLS_MODE=files needs it)
environment: PERSONA_TLS_KEY_FILE: is missing (PERSONA_TLS_MODE=files needs it)`,
		},
		{
			"half a pair of files", whole("PERSONA_TLS_KEY_FILE=key.pem"),
			"environment: PERSONA_TLS_CERT_FILE: is missing (PERSONA_TLS_KEY_FILE needs it)",
		},
		{
			"no listener", whole("PERSONA_LISTEN_HTTPS="),
			"environment: PERSONA_LISTEN_HTTPS: is empty (listen somewhere, or use PERSONA_TLS_MODE=off)",
		},
		{
			"same port", whole("PERSONA_LISTEN_HTTP=:443"),
			`environment: PERSONA_LISTEN_HTTP: ":443" is the address of PERSONA_LISTEN_HTTPS too (give each listener its own port)`,
		},
		{
			"certifies without a directory",
			[]string{"PERSONA_DOMAIN=example.com", "PERSONA_UPSTREAM=http://cms", "PERSONA_CERTIFIES=x.example"},
			"environment: PERSONA_CERTIFIES: is for an identity host (write it where the directory is, or give this domain one)",
		},
		{
			"own authority", whole("PERSONA_AUTHORITY=example.com"),
			"environment: PERSONA_AUTHORITY: names the domain itself (remove it: with a directory the domain is its own authority)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load("", test.environ)
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
}

const fileWithoutPassword = `
domains:
  - name: example.com
    directory: corp
directories:
  corp:
    preset: openldap
    urls: [ldaps://ldap.example.com]
    bind_dn: cn=persona,dc=example,dc=com
    base_dn: dc=example,dc=com
`

func TestFileAndEnvironment(t *testing.T) {
	t.Parallel()
	const several = fileWithoutPassword + `    bind_password: x
  branch: {preset: openldap, urls: [ldaps://branch.example.com], base_dn: dc=branch}
`
	withTwoDomains := strings.Replace(several, "directories:", "  - {name: example.net, directory: branch}\ndirectories:", 1)
	for _, test := range []struct {
		name, file string
		environ    []string
		want       string // error, "FILE" for the path
	}{
		{"a key that the file leaves out", fileWithoutPassword, []string{"PERSONA_LDAP_BIND_PASSWORD=x", "PERSONA_LOG_LEVEL=debug", "PERSONA_UPSTREAM=http://cms", "PERSONA_LISTEN_HTTP="}, ""},
		{"no directories in the file", "domains: [{name: example.com}]\n", whole()[3:], ""},
		{"no domains in the file", "log: {level: info}\n", whole(), ""},
		{"empty in the file", "domains: []\ndirectories: {}\n", whole(), ""},
		{"null in the file", "domains:\nlog: {level: }\n", whole("PERSONA_LOG_LEVEL=info"), ""},
		{
			"the same key", fileWithoutPassword + "log: {level: info}\n",
			[]string{"PERSONA_LOG_LEVEL=info", "PERSONA_DOMAIN=example.net", "PERSONA_LDAP_URLS=ldaps://x", "PERSONA_LDAP_BIND_PASSWORD=x"},
			`environment: PERSONA_DOMAIN: the file gives name too, on line 3 (keep one of them)
environment: PERSONA_LDAP_URLS: the file gives urls too, on line 8 (keep one of them)
environment: PERSONA_LOG_LEVEL: the file gives level too, on line 11 (keep one of them)`,
		},
		{
			"a listener that the image sets", fileWithoutPassword + "    bind_password: x\nlisten: {http: \":80\"}\n",
			[]string{"PERSONA_LISTEN_HTTP=:8080"},
			"environment: PERSONA_LISTEN_HTTP: the file gives http too, on line 12 (keep one of them; the container image sets this variable, so there remove it from the file)",
		},
		{
			"both twins", fileWithoutPassword + "    bind_password_file: /nonexistent/x\n",
			[]string{"PERSONA_LDAP_BIND_PASSWORD=x"},
			`FILE:11: directories.corp.bind_password_file: the file /nonexistent/x does not exist (create it, or correct the path)
FILE:11: directories.corp.bind_password_file: is given together with PERSONA_LDAP_BIND_PASSWORD (keep one of them)`,
		},
		{
			"which of several", withTwoDomains,
			[]string{"PERSONA_UPSTREAM=http://cms", "PERSONA_LDAP_START_TLS=true"},
			`environment: PERSONA_LDAP_START_TLS: the file has more than one of directories, and a variable cannot say which it means (write it into the file)
environment: PERSONA_UPSTREAM: the file has more than one of domains, and a variable cannot say which it means (write it into the file)`,
		},
		{
			"misshapen file", "domains: text\ndirectories: []\nlog: [a]\n", whole("PERSONA_LOG_LEVEL=info"),
			`FILE:1: domains: is not a list (write each item on a line of its own after a hyphen)
FILE:2: directories: is not a section (write its keys below it, indented)
FILE:3: log: is not a section (write its keys below it, indented)`,
		},
		{
			"unknown variable", fileWithoutPassword,
			[]string{"PERSONA_LDAP_BIND_PASSWORT=hunter2", "PERSONA_LDAP_BIND_PASSWORD=x"},
			"environment: PERSONA_LDAP_BIND_PASSWORT: is not a known variable (did you mean PERSONA_LDAP_BIND_PASSWORD?)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "persona.yaml")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(path, test.environ)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), path, "FILE")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), whole())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want one that says that the file does not exist", err)
	}
}
