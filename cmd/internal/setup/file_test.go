package setup

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/config"
)

// FuzzYAMLText checks that every text that setup writes into a file is read
// back as it was.
func FuzzYAMLText(f *testing.F) {
	for _, text := range []string{
		"example.com", "true", "Off", "~", "null", "a: b", "a #b", "#", "- a", "*a", "&a", "!a", "%a", "@a", "`", "'", `"`, `\`,
		"a\nb", "a\tb", " a ", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "ü", "😀", "{a}", "[a]", "a,b", "1", "1e3", "0x1", "2001-01-01",
		"C:\\x", "http://a:1/", "a:", ":a", "?", "|", ">", "<<", "=", "---", "...", "a: ",
	} {
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "persona.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || !utf8.ValidString(text) {
			t.Skip("no argument of a command line that YAML could hold")
		}
		err := os.WriteFile(path, []byte("domains: [{name: example.com, directory: corp}]\ndirectories:\n  corp:\n"+
			"    preset: openldap\n    urls: [ldaps://ldap]\n    base_dn: dc=example\n    bind_dn: cn=persona\n    bind_password: "+yamlText(text)+" # end\n"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, nil)
		if err != nil {
			t.Fatalf("%q as %s: %v", text, yamlText(text), err)
		}
		if got := c.Directories["corp"].BindPassword.Reveal(); got != text {
			t.Errorf("%q as %s is read as %q", text, yamlText(text), got)
		}
	})
}

func TestYAMLList(t *testing.T) {
	t.Parallel()
	for texts, want := range map[string]string{
		"":                       "[]",
		"a":                      "[a]",
		"a, b c,,d":              "[a, b, c, d]",
		"ldaps://a:636 [::1],no": `[ldaps://a:636, "[::1]", "no"]`,
	} {
		if got := yamlList(texts); got != want {
			t.Errorf("%q: got %s, want %s", texts, got, want)
		}
	}
}
