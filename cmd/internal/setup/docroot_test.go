package setup_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/setup"
)

// siteFolderFor returns a folder with the folder site and other files, each
// "path content".
func siteFolderFor(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "site", ".well-known"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		path, content, _ := strings.Cut(file, " ")
		apptest.Write(t, filepath.Join(folder, path), content)
	}
	return folder
}

// contents returns the files below a folder.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(entries(t, folder)) {
		name, mode, _ := strings.Cut(line, " ")
		if strings.HasPrefix(mode, "d") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

const (
	document = `{"authority":"id.example.com"}`
	htaccess = "<Files \"browserid\">\n    ForceType application/json\n</Files>\n"
)

// TestDocroot takes the words of the first persona.
func TestDocroot(t *testing.T) {
	t.Parallel()
	directory := []string{"-directory-url", "ldaps://ldap", "-base-dn", "dc=example", "-out", "IN/persona.yaml"}
	for name, test := range map[string]struct {
		files []string // that are there before
		args  []string
		want  map[string]string // files below site afterwards
		note  string
	}{
		"identity on its own host": {
			nil,
			[]string{"-d", "example.com", "-r", "IN/site", "-s", "IN/secrets", "-id-host", "id.example.com"},
			map[string]string{"browserid": document, ".htaccess": htaccess},
			"The present website of example.com has the file now",
		},
		"by the website": {
			nil,
			[]string{"-website", "https://example.com/", "-docroot", "IN/site", "-secrets", "IN/secrets", "-id-host", "id.example.com"},
			map[string]string{"browserid": document, ".htaccess": htaccess},
			"curl -i https://example.com/.well-known/browserid",
		},
		"an identity host that certifies": {
			nil,
			[]string{"-domain", "id.example.com", "-certifies", "example.com", "-r", "IN/site", "-s", "IN/secrets"},
			map[string]string{"browserid": document, ".htaccess": htaccess},
			"Wrote IN/site/.well-known/browserid: " + document,
		},
		"an .htaccess is left as it is": {
			[]string{"site/.well-known/.htaccess mine"},
			[]string{"-d", "example.com", "-r", "IN/site", "-s", "IN/secrets", "-id-host", "id.example.com"},
			map[string]string{"browserid": document, ".htaccess": "mine"},
			"",
		},
		"a group": {
			nil,
			[]string{"-d", "example.com", "-r", "IN/site", "-s", "IN/secrets", "-g", "www-data", "-id-host", "id.example.com"},
			map[string]string{"browserid": document, ".htaccess": htaccess},
			"chown persona:www-data IN/persona.yaml\n",
		},
		"persona in front of the website": {
			nil,
			[]string{"-d", "example.com", "-r", "IN/site", "-s", "IN/secrets", "-upstream", "http://127.0.0.1:8080", "-id-host", "id.example.com"},
			nil, "persona keeps no files in a docroot: it answers /.well-known/browserid and /persona/ itself.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := siteFolderFor(t, test.files...)
			var out strings.Builder
			got := call(t, folder, setup.Env{Screen: io.Discard, Out: &out}, append(test.args, directory...))
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !strings.Contains(got.out, strings.ReplaceAll(test.note, "IN", folder)) {
				t.Errorf("the notes lack %q:\n%s", test.note, got.out)
			}
			left := contents(t, filepath.Join(folder, "site", ".well-known"))
			for name, want := range test.want {
				if left[name] != want {
					t.Errorf("%s holds %q, want %q", name, left[name], want)
				}
			}
			if len(left) != len(test.want) {
				t.Errorf("the website got %v", left)
			}
			c, err := config.Load(filepath.Join(folder, "persona.yaml"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.StateDir != filepath.Join(folder, "secrets") {
				t.Errorf("state_dir: %s", c.StateDir)
			}
			identity := ""
			for _, host := range c.Hosts() {
				if host.Role == config.RoleIdentity {
					identity = strings.Join(host.MailDomains, " ")
				}
			}
			if identity != "id.example.com example.com" {
				t.Errorf("the identity host signs for %s", identity)
			}
		})
	}
}

// TestDocrootRefused: nothing is written, and nothing overwritten.
func TestDocrootRefused(t *testing.T) {
	t.Parallel()
	complete := []string{"-id-host", "id.example.com", "-directory-url", "ldaps://ldap", "-base-dn", "dc=example", "-out", "IN/persona.yaml"}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"without an identity host":  {[]string{"-domain", "example.com", "-docroot", "IN/site", "-out", "IN/persona.yaml"}, "setup needs -directory-url, -base-dn (hint: persona help setup)\npersona keeps no files in a docroot: "},
		"a document that is there":  {append([]string{"-d", "example.com", "-r", "IN/site"}, complete...), "IN/site/.well-known/browserid exists already, and setup overwrites nothing (hint: "},
		"a folder that is not":      {append([]string{"-d", "example.com", "-r", "IN/none"}, complete...), "-docroot: IN/none is not a folder (hint: "},
		"a file":                    {append([]string{"-d", "example.com", "-r", "IN/site/.well-known/browserid"}, complete...), "is not a folder"},
		"a domain that is none":     {append([]string{"-d", "Example.com", "-r", "IN/site"}, complete...), `-domain: "Example.com" has upper-case letters`},
		"a website without a host":  {append([]string{"-website", "example.com"}, complete...), `-website: "example.com" is not an absolute URL`},
		"a website with a port":     {append([]string{"-website", "https://example.com:444"}, complete...), `-domain: "example.com:444" has a port`},
		"a fault elsewhere":         {append([]string{"-d", "example.com", "-r", "IN/other", "-listen-admin", ":443"}, complete...), "-listen-admin: "},
		"a website that is no name": {append([]string{"-w", "https://192.0.2.1/"}, complete...), `-domain: "192.0.2.1" is an IP address`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := siteFolderFor(t, "site/.well-known/browserid mine")
			if err := os.Mkdir(filepath.Join(folder, "other"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := entries(t, folder)
			got := call(t, folder, setup.Env{Screen: io.Discard, Out: io.Discard}, test.args)
			if refusal := got.refusal(t); !strings.Contains(refusal, strings.ReplaceAll(test.want, "IN", folder)) {
				t.Errorf("got %s, want %s", refusal, test.want)
			}
			if after := entries(t, folder); after != before {
				t.Errorf("before\n%safter\n%s", before, after)
			}
			if text, err := os.ReadFile(filepath.Join(folder, "site", ".well-known", "browserid")); err != nil || string(text) != "mine" {
				t.Errorf("the document is %q, %v", text, err)
			}
		})
	}
}

// TestDocrootAsked: at a terminal the docroot gets the document where the answers
// leave the website where it is.
func TestDocrootAsked(t *testing.T) {
	t.Parallel()
	folder := siteFolderFor(t)
	typed := strings.Join([]string{"1", "", "1", "none", "", "", "none", "", "none", "IN/persona.yaml"}, "\n") + "\n"
	got := converse(t, folder, typed, false, "-d", "example.com", "-r", "IN/site")
	if got.err != nil {
		t.Fatalf("%v; the screen:\n%s", got.err, got.screen)
	}
	if left := contents(t, filepath.Join(folder, "site", ".well-known")); left["browserid"] != document {
		t.Errorf("the website got %v", left)
	}
}
