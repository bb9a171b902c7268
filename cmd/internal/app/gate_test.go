package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	settings "persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp/gate"

	"github.com/rs/zerolog"
)

// TestPathsOfSites: what is persona's at the hosts of a website that is told of sign-ins, and at others.
func TestPathsOfSites(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "www.example.test", "id.example.test", "plain.test", "www.plain.test")
	site := website(t).URL
	p := start(t, folder, yaml+fmt.Sprintf(`
domains:
  - {name: example.test, hosts: [www.example.test], upstream: %s, directory: corp, authority: id.example.test, identity_headers: true}
  - {name: plain.test, hosts: [www.plain.test], upstream: %s, authority: id.example.test}
`, site, site)+deadDirectory)
	waitForKeys(t, p)
	client := p.client(roots)
	for url, want := range map[string]struct {
		status int
		ours   bool
	}{
		"https://example.test/":                            {http.StatusOK, false},
		"https://example.test/persona/x":                   {http.StatusNotFound, true},
		"https://example.test/persona":                     {http.StatusNotFound, true},
		"https://example.test/.well-known/browserid":       {http.StatusOK, true},
		"https://www.example.test/persona/":                {http.StatusNotFound, true},
		"https://www.example.test/%70ersona/login":         {http.StatusNotFound, true},
		"https://www.example.test/.well-known/browserid":   {http.StatusOK, false},
		"https://www.plain.test/persona/":                  {http.StatusOK, false},
		"https://plain.test/persona/login":                 {http.StatusNotFound, true},
		"https://id.example.test/persona/authenticate":     {http.StatusOK, true},
		"https://example.test/persona/authenticate":        {http.StatusNotFound, true},
		"https://www.example.test/persona/api/session":     {http.StatusNotFound, true},
		"https://www.example.test/persona/assertion/jwks":  {http.StatusNotFound, true},
		"https://id.example.test/persona/":                 {http.StatusOK, true},
		"https://www.example.test/persona/include.js":      {http.StatusNotFound, true},
		"https://www.example.test/personal":                {http.StatusOK, false},
		"https://www.example.test/wp-login.php?x=persona/": {http.StatusOK, false},
	} {
		status, body := get(t, client, url)
		if ours := !strings.HasPrefix(body, "website "); status != want.status || ours != want.ours {
			t.Errorf("%s: %d, ours: %t; want %d, %t\n%.200s", url, status, ours, want.status, want.ours, body)
		}
	}
}

// mirror is a website that answers with the fields and the trailers that reached it, a line for each, sorted. Answers to
// /stream have no end.
func mirror(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stream") {
			endless(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		var lines []string
		for name, values := range r.Header {
			for _, value := range values {
				lines = append(lines, name+": "+value)
			}
		}
		for name, values := range r.Trailer {
			lines = append(lines, fmt.Sprintf("trailer %s: %q", name, values))
		}
		slices.Sort(lines)
		fmt.Fprintf(w, "website %s %s\n%s\n", r.Method, r.RequestURI, strings.Join(lines, "\n"))
	}))
	t.Cleanup(server.Close)
	return server
}

// TestConfiguredNamesComeFromNoClient: a name that is configured for one website is taken from requests to all,
// because two entries may lead to one application.
func TestConfiguredNamesComeFromNoClient(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "id.example.test", "plain.test")
	site := mirror(t).URL
	p := start(t, folder, yaml+fmt.Sprintf(`
domains:
  - {name: example.test, upstream: %s, directory: corp, authority: id.example.test, identity_headers: {names: {user: Staff-Login, id: ""}}}
  - {name: plain.test, upstream: %s, allow_odd_field_names: true}
`, site, site)+deadDirectory)
	for _, host := range []string{"example.test", "plain.test"} {
		response := wire(t, p, roots, "https://"+host, "POST / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Staff-Login, Kept\r\n"+
			"Staff-Login: forged\r\nSTAFF_LOGIN: forged\r\nstaff.login: forged\r\nstaff-login: forged\r\nRemote-Email: forged\r\nX-Persona-Assertion: forged\r\nKept: yes\r\n\r\n"+
			"0\r\nStaff-Login: forged\r\nstaff_login: forged\r\nKept: yes\r\n\r\n")
		if body := read(t, response); response.StatusCode != http.StatusOK || strings.Contains(body, "forged") || !strings.Contains(body, "Kept: yes") {
			t.Errorf("%s: %d %s", host, response.StatusCode, body)
		}
	}
}

// TestGroupsAreReadWhereTheyAreUsed: reading groups costs searches, and is done for websites that are told of
// groups or closed to others than their members.
func TestGroupsAreReadWhereTheyAreUsed(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]bool{
		"":                        false,
		"identity_headers: true":  true,
		"identity_headers: {}":    true,
		"identity_headers: false": false,
		`identity_headers: {names: {groups: "", assertion: ""}}`: false,
		`identity_headers: {names: {groups: ""}}`:                true,
		`identity_headers: {names: {assertion: ""}}`:             true,
		"access: [{path: /, allow: signed_in}]":                  false,
		"access: [{path: /, groups: [editors]}]":                 true,
	} {
		path := filepath.Join(t.TempDir(), "persona.yaml")
		apptest.Write(t, path, fmt.Sprintf(`
domains:
  - {name: example.test, upstream: "http://cms", directory: corp, authority: id.example.test}
  - {name: other.test, upstream: "http://cms", directory: other, authority: id.other.test}
  - {name: site.test, upstream: "http://cms", authority: id.example.test, %s}
`, keys)+deadDirectory+strings.Replace(strings.TrimPrefix(deadDirectory, "\ndirectories:\n"), "corp:", "other:", 1))
		loaded, err := config.Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for directory, want := range map[string]bool{"corp": want, "other": false} {
			settings, err := translate.Directory(loaded, loaded.Hosts(), directory)
			if err != nil {
				t.Fatal(err)
			}
			if settings.Groups != want {
				t.Errorf("%s: groups of %s are read: %t", keys, directory, settings.Groups)
			}
		}
	}
}

// TestWordsOfTheGate: the words of the configuration are those that the gate knows.
func TestWordsOfTheGate(t *testing.T) {
	t.Parallel()
	for name, known := range map[string][]string{
		"User":         {string(gate.UserIsLogin), string(gate.UserIsEmail), string(gate.UserIsID)},
		"NameEncoding": {string(gate.NameUTF8), string(gate.NamePercent), string(gate.NameQuotedPrintable), string(gate.NameOmit)},
	} {
		field, found := reflect.TypeFor[settings.Headers]().FieldByName(name)
		if want := "word " + strings.Join(known, " "); !found || field.Tag.Get("as") != want {
			t.Errorf("%s is read as %q, want %q", name, field.Tag.Get("as"), want)
		}
	}
}

// TestAcceptedRulesCompile: what the configuration accepts as a list of rules, the gate accepts too.
func TestAcceptedRulesCompile(t *testing.T) {
	t.Parallel()
	accepted := 0
	for _, rules := range []string{
		"{path: /, allow: public}", "{path: /a, allow: signed_in}", "{path: /a/, exact: true, groups: [x]}", "{path: /A, allow: authorization_header}",
		`{path: "/ä ö/ü", allow: signed_in}`, `{path: "/a+b", allow: signed_in}`, `{path: "/a:b", allow: signed_in}`, `{path: "/a.b/.c", allow: signed_in}`,
		`{path: "/a. ", allow: signed_in}`, `{path: "/%", allow: signed_in}`, `{path: "/a%41", allow: signed_in}`, `{path: "/a//", allow: signed_in}`,
		`{path: "//", allow: signed_in}`, `{path: "/./", allow: signed_in}`, `{path: "/..", allow: signed_in}`, `{path: "/...", allow: signed_in}`, `{path: "/a;", allow: signed_in}`,
		`{path: "/a::$DATA", allow: signed_in}`, `{path: "/\u200bx", allow: signed_in}`, `{path: "/\uff0e\uff0e/", allow: signed_in}`, `{path: "/\u0085", allow: signed_in}`, `{path: "/\u007f", allow: signed_in}`,
		`{path: "/ a", allow: signed_in}`, `{path: "/a /b", allow: signed_in}`, `{path: "/persona", allow: public}`, `{path: "/personal", allow: public}`, `{path: "/a*", allow: public}`,
		`{path: /a, groups: ["x, y", "Größe"]}`, `{path: /a, groups: ["\u00a0x"]}`, `{path: /a, groups: ["x", "X"]}`,
		"{path: /a, allow: public}, {path: /a, allow: signed_in}", "{path: /a, exact: true, allow: public}, {path: /a, allow: signed_in}",
		"{path: /a, exact: true, allow: public}, {path: /a/, exact: true, allow: signed_in}", "{path: /a, allow: public}, {path: /a/, exact: true, allow: signed_in}",
		"{path: /a, allow: signed_in}, {path: /A, allow: public}", "{path: /a, allow: signed_in}, {path: /A/b, allow: signed_in}", "{path: /, allow: signed_in}, {path: /x, allow: public}",
		"{path: /a, allow: public}, {path: /ab, allow: signed_in}", "{path: /a/, allow: public}, {path: /a, allow: signed_in}", "{path: /a/, exact: true, allow: public}, {path: /a, exact: true, allow: signed_in}",
	} {
		path := filepath.Join(t.TempDir(), "persona.yaml")
		apptest.Write(t, path, "state_dir: state\ndomains: [{name: example.test, upstream: \"http://cms\", directory: corp, authority: id.example.test, access: ["+rules+"]}]\n"+deadDirectory)
		loaded, err := config.Load(path, nil)
		if err != nil {
			continue
		}
		accepted++
		if _, err := app.New(app.Options{Config: loaded, Log: zerolog.Nop()}); err != nil {
			t.Errorf("%s: %v", rules, err)
		}
	}
	if accepted < 10 {
		t.Errorf("only %d lists were accepted", accepted)
	}
}
