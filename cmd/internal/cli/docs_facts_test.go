package cli_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/schema"
)

// TestLinks checks that what the documents link to in the repository exists, and
// the headings there.
func TestLinks(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	applications, err := filepath.Glob(filepath.Join(repository, "docs", "applications", "*.md"))
	if err != nil || len(applications) == 0 {
		t.Fatalf("no documents of applications: %v", err)
	}
	for _, file := range append(slices.Concat(files, applications), filepath.Join(repository, "README.md"), filepath.Join(repository, "deploy", "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
			path, fragment, _ := strings.Cut(match[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			linked, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
				continue
			}
			if fragment != "" && !slices.Contains(headings(string(linked)), fragment) {
				t.Errorf("%s links to %s, where no such heading is", file, match[1])
			}
		}
	}
}

// headings returns the fragments of a document's headings, as GitHub makes them.
func headings(text string) (fragments []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		fragments = append(fragments, strings.ReplaceAll(kept, " ", "-"))
	}
	return fragments
}

// TestTroubleshootingMessages checks that each message that docs/troubleshooting.md
// quotes is in the source.
func TestTroubleshootingMessages(t *testing.T) {
	t.Parallel()
	text, source := document(t, "docs/troubleshooting.md"), source(t)
	quoted := regexp.MustCompile(`(?m)^> (.+)$`).FindAllStringSubmatch(text, -1)
	if len(quoted) < 20 {
		t.Fatalf("only %d messages are quoted", len(quoted))
	}
	for _, match := range quoted {
		if !strings.Contains(source, match[1]) {
			t.Errorf("the program does not print %q any more", match[1])
		}
	}
}

// TestListsAreComplete checks that docs/routes.md and docs/metrics.md list what the
// source has, and nothing else.
func TestListsAreComplete(t *testing.T) {
	t.Parallel()
	source := source(t)
	for _, list := range []struct{ file, prefix, listed, named string }{
		{"docs/routes.md", "", "`(/(?:persona/|\\.well-known/)[^`]*)`", `(?:Path\w*:? +(?:= )?)"(/(?:persona|\.well-known)/[^"]*)"`},
		{"docs/metrics.md", "persona_", "(?m)^\\| `persona_(\\w+)`", `(?:counter\(|histogram\(|desc\(|Namespace: namespace, Name: )"(\w+)"`},
	} {
		shown := document(t, list.file)
		listed := regexp.MustCompile(list.listed).FindAllStringSubmatch(shown, -1)
		named := regexp.MustCompile(list.named).FindAllStringSubmatch(source, -1)
		if len(listed) < 5 || len(named) < 5 {
			t.Fatalf("%s lists %d, the source names %d", list.file, len(listed), len(named))
		}
		for _, match := range listed {
			if !strings.Contains(source, match[1]+`"`) {
				t.Errorf("%s lists %s, which the source does not name", list.file, match[1])
			}
		}
		for _, match := range named {
			if !strings.Contains(shown, "`"+list.prefix+match[1]+"`") {
				t.Errorf("%s does not list %s", list.file, match[1])
			}
		}
	}
}

// TestPresetTable checks that docs/directory.md has what the presets have.
func TestPresetTable(t *testing.T) {
	t.Parallel()
	text := document(t, "docs/directory.md")
	code := func(names ...string) string {
		for i, name := range names {
			names[i] = "`" + strings.ReplaceAll(name, "|", `\|`) + "`"
		}
		return strings.Join(names, ", ")
	}
	_, rest, _ := strings.Cut(text, "What is special:")
	rest, _, _ = strings.Cut(rest, "\n## ")
	var special []string // its bullets
	for _, bullet := range strings.Split(rest, "\n- ") {
		special = append(special, strings.Join(strings.Fields(bullet), " "))
	}
	for _, name := range schema.Presets() {
		s, err := schema.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := "–"
		if s.PasswordTime != "" {
			changed = code(s.PasswordTime)
		}
		row := strings.Join([]string{
			"| " + code(name), code(s.UserFilter), code(s.LoginAttributes...), code(s.AddressAttributes...), code(s.ID.Attribute), changed, cmp.Or(s.Tried, "*by documentation*") + " |",
		}, " | ")
		if !strings.Contains(text, row+"\n") {
			t.Errorf("docs/directory.md lacks the row\n%s", row)
		}
		for what, is := range map[string]bool{"wants a client certificate": s.ClientCertificate, "still show people who may not": s.SearchTellsNothing, "ids that may be given again": s.ID.Reusable, "people can write their own": s.SelfService} {
			line := slices.ContainsFunc(special, func(line string) bool { return strings.Contains(line, code(name)) && strings.Contains(line, what) })
			if is != line {
				t.Errorf("docs/directory.md: %q of %s: %t", what, name, line)
			}
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != len(schema.Presets()) {
		t.Errorf("there are %d rows for %d presets", rows, len(schema.Presets()))
	}
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// source returns all Go files of the product.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range []string{"cmd/internal", "idp", "ldapauth", "proxy"} {
		err := filepath.WalkDir(filepath.Join(repository, folder), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			all.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
