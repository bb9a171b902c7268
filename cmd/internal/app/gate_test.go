package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
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
			settings, err := app.DirectoryConfig(loaded, loaded.Hosts(), directory)
			if err != nil {
				t.Fatal(err)
			}
			if settings.Groups != want {
				t.Errorf("%s: groups of %s are read: %t", keys, directory, settings.Groups)
			}
		}
	}
}
