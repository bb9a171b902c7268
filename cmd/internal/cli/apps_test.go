package cli_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/cli"
	"persona-sidecar/cmd/internal/config"
)

const (
	someSecret  = "0123456789abcdefghij"
	oddSecret   = "0123456789$(abcdefgh"
	identityOne = `
domains:
  - {name: id.example.com, directory: corp}
directories:
  corp: {preset: openldap, urls: [ldaps://ldap.example.com], base_dn: "dc=example,dc=com"}
`
	identityTwo = `
domains:
  - {name: id.example.com, directory: corp}
  - {name: shared.example, directory: corp, upstream: "http://cms"}
directories:
  corp: {preset: openldap, urls: [ldaps://ldap.example.com], base_dn: "dc=example,dc=com"}
`
)

// apps runs a command of persona apps with a configuration in a folder.
func apps(t *testing.T, folder, command string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	code = cli.Main(t.Context(), cli.Program{
		Args:  append(append([]string{"apps"}, strings.Fields(command)...), "-config", filepath.Join(folder, "persona.yaml")),
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut,
	})
	return code, out.String(), errOut.String()
}

// TestAppsListAndShow: the secret is shown only where that is asked for.
func TestAppsListAndShow(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	apptest.Write(t, filepath.Join(folder, "grafana.secret"), someSecret+"\n")
	apptest.Write(t, filepath.Join(folder, "persona.yaml"), "listen: {public_https: 8443}\n"+identityTwo+`
apps:
  - {id: grafana, preset: grafana, url: "https://grafana.example.com", secret_file: grafana.secret, authority: id.example.com, groups: [staff, it]}
  - {id: grafana, preset: grafana, url: "https://grafana.example.com", secret: "`+someSecret+`", authority: shared.example, allow_shared_origin: true}
  - {id: odd, preset: gitea, url: "https://git.example.com", secret: "`+oddSecret+`", authority: id.example.com}
  - {id: phone, preset: gitea, url: "https://git.example.com", token_auth: none, authority: id.example.com}
  - {id: tool, name: Tool, url: "https://tool.example.com", secret: "`+oddSecret+`", authority: id.example.com, redirect_uris: ["https://tool.example.com/callback"]}
`)
	for _, test := range []struct {
		command string
		code    int
		out     []string
		err     string
		secret  string // that is shown
	}{
		{"list", 0, []string{"ID ", "\ngrafana  grafana  https://grafana.example.com  id.example.com  staff, it\n", "\ntool     -        https://tool.example.com     id.example.com  -\n"}, "", ""},
		{"list x", 2, nil, `"x" is not a flag`, ""},
		{"show grafana -authority id.example.com", 0, []string{
			"client_id = grafana\n", "client_secret = THE-SECRET\n", "token_url = https://id.example.com:8443/persona/oauth/token\n", "THE-SECRET stands for the secret in " + filepath.Join(folder, "grafana.secret") + ".",
		}, "", ""},
		{"show -secret grafana -authority id.example.com", 0, []string{"client_secret = " + someSecret + "\n"}, "", someSecret},
		{"show grafana -authority shared.example", 0, []string{"THE-SECRET stands for the secret in the configuration.", "https://shared.example:8443/persona/"}, "", ""},
		{"show grafana", 2, nil, `several identity hosts have an app "grafana" (hint: name one with -authority: id.example.com, shared.example)`, ""},
		{"show grafana -authority x", 2, nil, `"x" has no app "grafana" (hint: `, ""},
		{"show odd", 0, []string{"THE-SECRET"}, "", ""},
		{"show odd -secret", 2, nil, "other characters than letters", ""},
		{"show phone -secret", 0, []string{"public client"}, "", ""},
		{"show tool", 0, []string{"issuer:         https://id.example.com:8443/persona\n", "client id:      tool\n", "client secret:  in the configuration\n", "redirect URI:   https://tool.example.com/callback\n"}, "", ""},
		{"show tool -secret", 0, []string{"client secret:  " + oddSecret + "\n"}, "", oddSecret},
		{"show nothing", 2, nil, `there is no app "nothing" in the configuration (hint: there is grafana, `, ""},
		{"show", 2, nil, "one app is shown at a time (hint: ", ""},
		{"show a b", 2, nil, "one app is shown at a time (hint: ", ""},
	} {
		code, out, errOut := apps(t, folder, test.command)
		if code != test.code || !strings.Contains(errOut, test.err) || test.err == "" && errOut != "" {
			t.Errorf("%s: exit code %d, want %d: %s", test.command, code, test.code, errOut)
		}
		for _, want := range test.out {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", test.command, want, out)
			}
		}
		for _, secret := range []string{someSecret, oddSecret} {
			if strings.Contains(out+errOut, secret) != (secret == test.secret) {
				t.Errorf("%s shows a secret, or not the one that was asked for:\n%s", test.command, out)
			}
		}
	}
}

// TestAppsAdd: the lines that are printed load, with the secret that was made, for the first app and the next.
func TestAppsAdd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		base, command, id string
		written           bool
	}{
		{identityOne, "add grafana https://grafana.example.com", "grafana", false},
		{identityOne, "add -write grafana https://grafana.example.com/sub/", "grafana", true},
		{identityTwo, "add gitea https://git.example.com -write -id 42 -authority id.example.com", "42", true},
		{identityTwo, "add gitea http://localhost:3000 -authority shared.example -allow-shared-origin", "gitea", false},
		{identityOne + "apps:\n  - {id: gitea, preset: gitea, url: 'https://git.example.com', secret: " + someSecret + "}\n", "add grafana https://grafana.example.com -write", "grafana", true},
	} {
		folder := t.TempDir()
		path, secretFile := filepath.Join(folder, "persona.yaml"), filepath.Join(folder, test.id+".secret")
		apptest.Write(t, path, test.base)
		code, out, errOut := apps(t, folder, test.command)
		if code != 0 || errOut != "" {
			t.Fatalf("%s: exit code %d: %s", test.command, code, errOut)
		}
		shown := regexp.MustCompile(`(?m)^[a-z2-7]{48}$`).FindString(out)
		if info, err := os.Stat(secretFile); test.written != (err == nil) || test.written && info.Mode().Perm() != 0o600 || test.written != (shown == "") {
			t.Fatalf("%s: %v, and shows:\n%s", test.command, err, out)
		}
		if !test.written {
			apptest.Write(t, secretFile, shown+"\n")
		}
		var lines strings.Builder
		for line := range strings.Lines(out) {
			if line == "apps:\n" || strings.HasPrefix(line, "  ") {
				lines.WriteString(line)
			}
		}
		apptest.Write(t, path, test.base+lines.String())
		c, err := config.Load(path, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", test.command, err, out)
		}
		app := c.Apps[len(c.Apps)-1]
		if app.ID != test.id || len(app.Secret.Reveal()) != 48 {
			t.Errorf("%s: the app is %q with a secret of %d characters", test.command, app.ID, len(app.Secret.Reveal()))
		}
		if code, _, errOut := apps(t, folder, "show "+test.id); code != 0 {
			t.Errorf("%s: show: %s", test.command, errOut)
		}
		if code, out, errOut := apps(t, folder, test.command); code != 2 || out != "" || !strings.Contains(errOut, "already") {
			t.Errorf("%s again: exit code %d: %s%s", test.command, code, out, errOut)
		}
	}
}

// TestAppsAddRefuses: nothing is written, and the message tells what to do.
func TestAppsAddRefuses(t *testing.T) {
	t.Parallel()
	nowhere := "domains: [{name: example.com, upstream: 'http://cms'}]\n"
	for _, test := range []struct{ base, command, err string }{
		{identityOne, "add grafana", "it needs a preset and the address of the app (hint: persona apps add grafana https://"},
		{identityOne, "add novell https://x.example", `"novell" is not a known value (hint: use argocd, `},
		{identityOne, "add ../presets/grafana https://x.example", "is not a known value (hint: use argocd, "},
		{identityOne, "add grafana grafana.example.com", "grafana.example.com"},
		{identityOne, "add grafana http://grafana.example.com", "http://grafana.example.com"},
		{identityOne, "add grafana https://grafana.example.com -id ../x", `"../x" cannot identify an app (hint: `},
		{identityOne, "add grafana https://grafana.example.com -id a~b", `"a~b" cannot identify an app (hint: `},
		{identityOne, "add grafana https://grafana.example.com -authority other.example", "is no identity host of the configuration (hint: there is id.example.com)"},
		{identityTwo, "add grafana https://grafana.example.com", "several identity hosts (hint: name one with -authority: id.example.com, shared.example)"},
		{identityTwo, "add grafana https://grafana.example.com -authority shared.example", "shares its origin with a website"},
		{
			identityOne + "apps:\n  - {id: grafana, preset: grafana, url: 'https://grafana.example.com', secret: " + someSecret + "}\n",
			"add grafana https://two.example.com", `id.example.com has an app "grafana" already (hint: give this one another id with -id; `,
		},
		{nowhere, "add grafana https://grafana.example.com", "no identity host, where people sign in (hint: give a domain a directory first)"},
		{"domains: x\n", "add grafana https://grafana.example.com", "the configuration has 1 fault"},
	} {
		folder := t.TempDir()
		apptest.Write(t, filepath.Join(folder, "persona.yaml"), test.base)
		code, out, errOut := apps(t, folder, test.command+" -write")
		if code != 2 || out != "" || !strings.Contains(errOut, test.err) {
			t.Errorf("%s: exit code %d, %q, want %q", test.command, code, errOut, test.err)
		}
		if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
			t.Errorf("%s: %v, %v", test.command, files, err)
		}
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "persona.yaml")
	apptest.Write(t, path, identityOne)
	if code, out, errOut := apps(t, folder, "list"); code != 0 || !strings.Contains(out, "no apps are configured") {
		t.Errorf("list: %d %s%s", code, out, errOut)
	}
	if code, _, errOut := apps(t, folder, "show grafana"); code != 2 || !strings.Contains(errOut, "has no apps (hint: ") {
		t.Errorf("show: %d %s", code, errOut)
	}
	var out, errOut strings.Builder
	if code := cli.Main(t.Context(), cli.Program{
		Args: []string{"apps", "add", "grafana", "https://grafana.example.com", "-write", "-config", path}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut,
		Rand: iotest.ErrReader(errors.New("no randomness")),
	}); code != 1 || out.String() != "" || !strings.Contains(errOut.String(), "making a secret: no randomness") {
		t.Errorf("without randomness: %d %s%s", code, out.String(), errOut.String())
	}
	if err := os.Mkdir(filepath.Join(folder, "grafana.secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, out, errOut := apps(t, folder, "add grafana https://grafana.example.com"); code != 2 || out != "" || !strings.Contains(errOut, "overwrites nothing (hint: ") {
		t.Errorf("with a file there: %d %s%s", code, out, errOut)
	}
}
