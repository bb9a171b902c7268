package catalogue

import (
	"strings"
	"testing"
)

const minimal = `
name: tool
title: Tool
sources: [its manual]
redirect_uris: [<<.URL>>/callback]
token_auth: client_secret_basic
pkce: required
scopes: [openid]
paste: [{where: In tool.ini, format: ini, text: "id = <<.ID>>"}]
`

func TestParse(t *testing.T) {
	t.Parallel()
	if _, err := parse([]byte(minimal)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ old, new, fault string }{
		{"title: Tool", "titel: Tool", "field titel not found"},
		{"title: Tool", "title: ''", "no title"},
		{"[its manual]", "[]", "no source"},
		{"[<<.URL>>/callback]", "[]", "no redirect URI"},
		{"client_secret_basic", "private_key_jwt", "private_key_jwt"},
		{"pkce: required", "pkce: plain", "plain"},
		{"scopes: [openid]", "scopes: [email]", "openid is missing"},
		{"where: In tool.ini, ", "", "no place"},
		{"format: ini", "format: xml", "xml"},
		{"format: ini", "format: ini, file: x", "field file not found"},
		{"pkce: required", "pkce: required\npkce: optional", "already defined"},
		{"paste:", "paste: []\nremarks:", "cannot unmarshal"},
	} {
		text := strings.Replace(minimal, bad.old, bad.new, 1)
		if text == minimal {
			t.Fatalf("%q is not there", bad.old)
		}
		if _, err := parse([]byte(text)); err == nil || !strings.Contains(err.Error(), bad.fault) {
			t.Errorf("%s: %v", bad.new, err)
		}
	}
	// A template that names what there is not, and one that does not end.
	for _, template := range []string{"<<.Url>>/callback", "<<.URL/callback", "<<query .Scopes>>", "<<.URL | nothing>>"} {
		p, err := parse([]byte(strings.Replace(minimal, "[<<.URL>>/callback]", "['"+template+"']", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := p.Fill(App{ID: "tool", URL: "https://tool.example.com"}); err == nil {
			t.Errorf("%s is taken: %q", template, c.RedirectURIs)
		}
	}
}
