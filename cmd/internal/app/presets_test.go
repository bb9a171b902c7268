package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth/schema"
	"persona-sidecar/proxy/field"
)

// TestPresets: the configuration takes every preset that there is.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Concat(schema.Presets(), []string{string(config.PresetCustom)}) {
		if err := config.CheckText("directories.corp.preset", name); err != nil {
			t.Error(err)
		}
	}
}

// texts returns the texts in a Go file that are in lower case and can be in the name of a field.
func texts(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && len(text) > 1 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
				found = append(found, text)
			}
		}
		return true
	})
	return found
}

// TestRefusedFieldNames: a name by which the website could be told who is signed in is refused where the proxy gives a field of that
// name another meaning. Those by which applications are told are accepted. The names are all that the two know.
func TestRefusedFieldNames(t *testing.T) {
	t.Parallel()
	byProxy, byConfig := texts(t, "../../../proxy/field/field.go"), texts(t, "../config/kind/website.go")
	if len(byProxy) < 30 || len(byConfig) < 60 {
		t.Fatalf("%d and %d names were found", len(byProxy), len(byConfig))
	}
	identity := func(name string) bool {
		return strings.HasPrefix(name, "remote-") || strings.HasPrefix(name, "x-remote-") || strings.HasPrefix(name, "x-webauth-") || strings.HasPrefix(name, "x-auth-request-") ||
			slices.Contains([]string{"x-persona-assertion", "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-displayname"}, name)
	}
	refusedFor := map[bool]int{}
	for _, text := range slices.Concat(byProxy, byConfig, []string{
		"te", "upgrade", "trailer", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "proxy-authenticate", "proxy-authentication-info", "x-forwarded-displayname",
	}) {
		for _, name := range []string{text, text + "x", text + "user", "x-forwarded-" + text} {
			kind := field.KindOf(name)
			taken := kind == field.Made || kind == field.Edited || kind == field.Rerouting || kind == field.Overriding || field.OfConnection(name)
			refused := config.CheckText("domains.identity_headers.names.user", name) != nil
			refusedFor[refused]++
			switch {
			case strings.HasSuffix(name, "-"): // how names begin
			case identity(name):
				if refused {
					t.Errorf("%s is refused", name)
				}
			case taken && !refused:
				t.Errorf("%s is accepted, although the proxy takes a field of that name for its own", name)
			}
		}
	}
	if refusedFor[true] < 60 || refusedFor[false] < 60 {
		t.Errorf("refused or not: %v", refusedFor)
	}
}
