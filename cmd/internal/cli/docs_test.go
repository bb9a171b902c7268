package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"persona-sidecar/cmd/internal/cli"
)

// repository is the root of the module.
const repository = "../../.."

// documents are those that show commands to type.
var documents = []string{"README.md", "deploy/README.md", "docs/backup.md", "docs/behind-another-server.md", "docs/directory.md", "docs/troubleshooting.md"}

// runBy names the test that runs a command of a document, for commands that no
// script runs literally with its command document.
var runBy = map[string]string{
	"go run ./cmd/demo":                                              "cmd/demo TestShow",
	"go install ./cmd/persona":                                       "cmd/internal/cli TestInstall",
	"persona setup":                                                  "cmd/internal/setup TestConversations",
	"persona serve -config persona.yaml":                             "cmd/internal/cli TestScripts serve.txtar",
	"persona check -config persona.yaml":                             "cmd/internal/app TestCheckOfAllThatRuns",
	"persona check -config persona.yaml alice@example.com":           "cmd/internal/app TestCheckOfAPerson",
	"persona directory check -config persona.yaml":                   "cmd/internal/cli TestDirectoryCommands",
	"persona directory whois -config persona.yaml alice":             "cmd/internal/cli TestDirectoryCommands",
	"persona directory whois -config persona.yaml alice@example.com": "cmd/internal/cli TestDirectoryCommands",
	"<!-- compose -->":                                               "cmd/internal/app TestCompose", // by .ci/compose/inside, whatever stands there
}

// shown is a command in a document.
type shown struct {
	document string
	line     int
	command  string // on one line, without its remark
	mark     string // the comment that the block follows, which a test looks for; or ""
}

func (s shown) String() string { return fmt.Sprintf("%s:%d: %s", s.document, s.line, s.command) }

var (
	fence  = regexp.MustCompile("^ {0,3}```(.*)$")
	mark   = regexp.MustCompile(`^<!-- [a-z]+ -->$`)
	remark = regexp.MustCompile(`(^|\s+)#\s.*$`)
	spaces = regexp.MustCompile(`\s+`)
	// shells are the languages of fenced commands. Indented blocks are commands.
	shells = []string{"sh", "shell", "bash", "console", ""}
)

// commandsIn returns the commands of a document: the lines of its indented blocks
// and of those that are fenced as a shell's, or as nothing.
func commandsIn(document, text string) []shown {
	var all []shown
	var begun, marked string
	fenced, language, block, blank := false, "", false, true
	for n, line := range strings.Split(text, "\n") {
		if mark := fence.FindStringSubmatch(line); mark != nil {
			fenced, language = !fenced, strings.TrimSpace(mark[1])
			continue
		}
		if mark.MatchString(line) {
			marked = strings.TrimSuffix(line, "<!-- end -->")
		}
		code := fenced && slices.Contains(shells, language)
		if !fenced {
			empty := strings.TrimSpace(line) == ""
			code = strings.HasPrefix(line, "    ") && !empty && (block || blank)
			block, blank = code, empty
		}
		if !code {
			continue
		}
		line = begun + strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		if rest, more := strings.CutSuffix(line, `\`); more {
			begun = rest
			continue
		}
		begun = ""
		if command := spaces.ReplaceAllString(remark.ReplaceAllString(line, ""), " "); strings.TrimSpace(command) != "" {
			all = append(all, shown{document, n + 1, strings.TrimSpace(command), marked})
		}
	}
	return all
}

// allShown returns the commands of all documents.
func allShown(t *testing.T) []shown {
	t.Helper()
	var all []shown
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join(repository, document))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, commandsIn(document, string(text))...)
	}
	return all
}

// scripted returns, as "document prefix", what scripts run literally.
func scripted(t *testing.T) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^document (\S+) '(.+)'$`)
	var all []string
	for _, match := range line.FindAllStringSubmatch(scripts(t), -1) {
		all = append(all, match[1]+" "+match[2])
	}
	return all
}

// scripts returns the text of all scripts.
func scripts(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var b strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// unrun returns the commands that no test runs, and the entries of runBy that no
// document shows.
func unrun(all []shown, scripted []string) (commands []shown, entries []string) {
	used := map[string]bool{}
	for _, s := range all {
		key := s.command
		if s.mark != "" {
			key = s.mark
		}
		_, listed := runBy[key]
		used[key] = true
		literally := slices.ContainsFunc(scripted, func(run string) bool { return strings.HasPrefix(s.document+" "+s.command, run) })
		if !listed && !literally {
			commands = append(commands, s)
		}
	}
	for command := range runBy {
		if !used[command] {
			entries = append(entries, command)
		}
	}
	return commands, entries
}

// TestEveryCommandIsRun: what people are told to type works.
func TestEveryCommandIsRun(t *testing.T) {
	t.Parallel()
	commands, entries := unrun(allShown(t), scripted(t))
	for _, s := range commands {
		t.Errorf("%s\n\tno test runs it: run it in a script with \"document %s '...'\", or name its test in runBy", s, s.document)
	}
	for _, entry := range entries {
		t.Errorf("no document shows %q any more: remove it from runBy", entry)
	}
}

// TestTestsOfCommands: the tests that runBy names exist.
func TestTestsOfCommands(t *testing.T) {
	t.Parallel()
	for command, by := range runBy {
		if reason, found := strings.CutPrefix(by, "not run: "); found {
			if reason == "" {
				t.Errorf("%q is not run and no reason is given", command)
			}
			continue
		}
		words := strings.Fields(by) // folder, test, script
		files, err := filepath.Glob(filepath.Join(repository, words[0], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(files, func(name string) bool {
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), "func "+words[1]+"(")
		})
		if !found {
			t.Errorf("%q: there is no test %s", command, by)
		}
		if len(words) > 2 {
			script, err := os.ReadFile(filepath.Join("testdata/script", words[2]))
			if err != nil || !strings.Contains(string(script), command) {
				t.Errorf("%q: the script %s does not run it (%v)", command, words[2], err)
			}
		}
	}
}

// TestUnrunCommandIsFound: the test above sees what is not run.
func TestUnrunCommandIsFound(t *testing.T) {
	t.Parallel()
	all := commandsIn("README.md", strings.Join([]string{
		"Text.", "", "    go install ./cmd/persona   # a remark", "    make nothing \\", "        -of \\", "        the-kind", "", "    # a remark alone", "", "1. A list:", "",
		"   ```sh", "   $ persona nonsense", "   ```", "", "```yaml", "persona: none", "```", "", "```", "persona fenced", "```", "Text", "    that goes on.", "- a", "    b", "",
		"<!-- compose -->", "", "    whatever", "", "<!-- end -->", "", "    not that", "",
	}, "\n"))
	var got []string
	for _, s := range all {
		got = append(got, s.String())
	}
	want := []string{"README.md:3: go install ./cmd/persona", "README.md:6: make nothing -of the-kind", "README.md:13: persona nonsense", "README.md:21: persona fenced", "README.md:30: whatever", "README.md:34: not that"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	commands, entries := unrun(all, []string{"README.md persona f", "deploy/README.md persona n"})
	if len(commands) != 3 || commands[0].command != "make nothing -of the-kind" || commands[1].command != "persona nonsense" || commands[2].command != "not that" {
		t.Errorf("found %v", commands)
	}
	if len(entries) != len(runBy)-2 {
		t.Errorf("%d entries of %d are unused", len(entries), len(runBy))
	}
}

// TestShownFlagsExist asks each command of ours for its help after the flags that
// are shown: flags that do not exist are refused.
func TestShownFlagsExist(t *testing.T) {
	t.Parallel()
	ours := 0
	for _, s := range allShown(t) {
		words := strings.Fields(s.command)
		if words[0] != "persona" {
			continue
		}
		ours++
		var out, errOut strings.Builder
		if code := cli.Main(t.Context(), cli.Program{Args: append(words[1:], "-help"), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut}); code != 0 {
			t.Errorf("%s\n\t%s", s, errOut.String())
		}
	}
	if ours == 0 {
		t.Error("the documents show no command of ours")
	}
}

// TestNamedCommandsAreRun: of what stands in the text, as in `persona version`,
// each command exists and a script runs it.
func TestNamedCommandsAreRun(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile("`persona ([a-z]+(?: (?:list|rotate|check|whois|show|add))?)")
	all := scripts(t)
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join(repository, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(all, "persona "+match[1]) {
				t.Errorf("%s names %s`, which no script runs", document, match[0])
			}
		}
	}
}

// TestInstall runs the command that makes the program.
func TestInstall(t *testing.T) {
	t.Parallel()
	at := slices.IndexFunc(allShown(t), func(s shown) bool { return strings.HasPrefix(s.command, "go install ") })
	if at < 0 {
		t.Fatal("no document says how to install the program")
	}
	folder := t.TempDir()
	install := exec.CommandContext(t.Context(), "sh", "-c", allShown(t)[at].command)
	install.Dir = repository
	install.Env = append(os.Environ(), "GOBIN="+folder)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(folder, "persona"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "persona ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestStampedVersion builds with the linker flags of the Dockerfile and no repository:
// the version and the revision come from its arguments.
func TestStampedVersion(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`go build -trimpath -ldflags "([^"]+)"`).FindSubmatch(dockerfile)
	if flags == nil {
		t.Fatal("the Dockerfile builds in another way")
	}
	program := filepath.Join(t.TempDir(), "persona")
	stamp := strings.NewReplacer("$VERSION", "v1.2.3", "$REVISION", "0123456789abcdef0123456789abcdef01234567").Replace(string(flags[1]))
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", stamp, "-o", program, "./cmd/persona")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "persona v1.2.3 0123456789ab go1.") {
		t.Errorf("%v\n%s", err, out)
	}
}

// typed is the script command document FILE PREFIX: it runs, in a shell, the command of a document that begins so.
func typed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: document FILE PREFIX")
	}
	text, err := os.ReadFile(filepath.Join(ts.Getenv("REPOSITORY"), args[0]))
	ts.Check(err)
	var found []string
	for _, s := range commandsIn(args[0], string(text)) {
		if strings.HasPrefix(s.command, args[1]) {
			found = append(found, s.command)
		}
	}
	if len(found) != 1 {
		ts.Fatalf("%s shows %d commands that begin so: %q", args[0], len(found), found)
	}
	ts.Check(ts.Exec("sh", "-c", found[0]))
}
