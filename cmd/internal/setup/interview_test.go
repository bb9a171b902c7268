package setup_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/strict"
	"persona-sidecar/cmd/internal/setup"
	"persona-sidecar/ldapauth/schema"
)

// passwordFile is the name of the file that a typed password is written to.
const passwordFile = "ldap_password"

// typist types lines and then ends the input. A hidden answer is a line as well.
type typist struct {
	lines  *bufio.Scanner
	screen io.Writer
}

func (p *typist) Ask(ctx context.Context, prompt string) (string, error) {
	text, err := p.AskHidden(ctx, prompt)
	return strings.TrimSpace(text), err
}

func (p *typist) AskHidden(_ context.Context, prompt string) (string, error) {
	fmt.Fprint(p.screen, prompt)
	if !p.lines.Scan() {
		return "", io.EOF
	}
	return p.lines.Text(), nil
}

// talk is what a conversation came to.
type talk struct {
	err         error
	out, screen string
}

// converse runs setup at a terminal where text is typed and then the input ends.
// IN stands for the folder.
func converse(t *testing.T, folder, typed string, root bool, args ...string) talk {
	t.Helper()
	var out, screen strings.Builder
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(typed, "IN", folder)))
	return call(t, folder, setup.Env{Terminal: &typist{lines, &screen}, Screen: &screen, Out: &out, Root: root}, args)
}

// call runs setup with flags. IN stands for the folder.
func call(t *testing.T, folder string, env setup.Env, args []string) talk {
	t.Helper()
	flags := flag.NewFlagSet("setup", flag.ContinueOnError)
	s := setup.New(flags)
	inFolder := make([]string, len(args))
	for i := range args {
		inFolder[i] = strings.ReplaceAll(args[i], "IN", folder)
	}
	if err := flags.Parse(inFolder); err != nil {
		t.Fatal(err)
	}
	err := s.Run(t.Context(), flags, env)
	return talk{err, fmt.Sprint(env.Out), fmt.Sprint(env.Screen)}
}

// refusal returns an error of setup, which has to be a refusal, as it is reported.
func (got talk) refusal(t *testing.T) string {
	t.Helper()
	refusal := (*setup.Refusal)(nil)
	if !errors.As(got.err, &refusal) {
		t.Fatalf("got %v, want a refusal; the screen:\n%s", got.err, got.screen)
	}
	return fmt.Sprintf("%s (hint: %s)\n%s", refusal.Error(), refusal.Hint(), strings.Join(refusal.Detail(), "\n"))
}

// folderFor returns a folder with the files that answers may name.
func folderFor(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	apptest.Write(t, filepath.Join(folder, "taken.yaml"), "")
	apptest.Write(t, filepath.Join(folder, "no-roots.pem"), "nothing")
	apptest.Write(t, filepath.Join(folder, "c.pem"), "")
	apptest.Write(t, filepath.Join(folder, "secret"), "hunter2\n")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	apptest.Write(t, filepath.Join(folder, "full", passwordFile), "")
	return folder
}

// lines returns what is typed in a conversation, with the wrong answers or
// without.
func (c conversation) lines(wrong bool) []string {
	var lines []string
	for _, turn := range c.turns {
		for _, bad := range turn.bad {
			if wrong {
				lines = append(lines, bad.answer)
			}
		}
		lines = append(lines, turn.answer)
	}
	return lines
}

func TestConversations(t *testing.T) {
	t.Parallel()
	for name, c := range conversations() {
		for kind, wrong := range map[string]bool{"right at once": false, "after wrong answers": true} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				folder := folderFor(t)
				got := converse(t, folder, strings.Join(c.lines(wrong), "\n")+"\n", true, c.args...)
				if got.err != nil {
					t.Fatalf("%v; the screen:\n%s", got.err, got.screen)
				}
				c.checkQuestions(t, got.screen, wrong, folder)
				c.checkResult(t, got.out, folder)
			})
		}
	}
}

// checkQuestions checks that each question came once, in order, with a reason and
// with the reason for each refusal after it.
func (c conversation) checkQuestions(t *testing.T, screen string, wrong bool, folder string) {
	t.Helper()
	rest := screen
	find := func(text string) {
		t.Helper()
		text = strings.ReplaceAll(text, "IN", folder)
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Fatalf("%q is missing or out of order in:\n%s", text, screen)
		}
		rest = after
	}
	for _, turn := range c.turns {
		find("\n" + turn.title)
		if !wrong {
			continue
		}
		for _, bad := range turn.bad {
			find("  Invalid answer: ")
			find(bad.reason)
		}
	}
	if strings.Contains(screen, "hunter2") {
		t.Error("the password is on the screen")
	}
	if got, want := strings.Count(screen, " > "), len(c.lines(wrong)); got != want {
		t.Errorf("%d prompts for %d answers:\n%s", got, want, screen)
	}
	for line := range strings.Lines(screen) {
		if len(line) > 180 && !strings.Contains(line, folder) {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

func (c conversation) checkResult(t *testing.T, notes, folder string) {
	t.Helper()
	path := filepath.Join(folder, "conf", "persona.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range c.want {
		if !strings.Contains(string(text), strings.ReplaceAll(want, "IN", folder)+"\n") &&
			!strings.Contains(string(text), strings.ReplaceAll(want, "IN", folder)+" ") {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
	for _, want := range c.told {
		if want = strings.ReplaceAll(want, "IN", folder); !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	if strings.Contains(string(text)+notes, "hunter2") {
		t.Error("the password is in the configuration or in the notes")
	}
	if _, err := config.Load(path, nil); err != nil {
		t.Errorf("what setup wrote does not load: %v", err)
	}
}

// TestKindsOfDirectory: every preset that there is can be chosen, and what is then written loads.
func TestKindsOfDirectory(t *testing.T) {
	t.Parallel()
	var chosen []string
	wanted := append(schema.Presets(), string(config.PresetCustom))
	for n := range wanted {
		folder := folderFor(t)
		c := conversations()["identity on its own host"]
		for i, turn := range c.turns {
			if turn.title == turnKind.title {
				c.turns[i].answer = strconv.Itoa(n + 1)
			}
		}
		if got := converse(t, folder, strings.Join(c.lines(false), "\n")+"\n", true); got.err != nil {
			t.Fatalf("%v; the screen:\n%s", got.err, got.screen)
		}
		loaded, err := config.Load(filepath.Join(folder, "conf", "persona.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		corp := loaded.Directories["corp"]
		if corp.Preset == "activedirectory" && corp.BindDN != "persona@example.com" {
			t.Errorf("the account of Active Directory is %s", corp.BindDN)
		}
		chosen = append(chosen, string(corp.Preset))
	}
	if !slices.Equal(chosen[:4], []string{"activedirectory", "openldap", "freeipa", "389ds"}) {
		t.Errorf("the order is %q", chosen)
	}
	slices.Sort(chosen)
	slices.Sort(wanted)
	if !slices.Equal(chosen, wanted) {
		t.Errorf("one can choose %q, and there are %q", chosen, wanted)
	}
}

// TestEndOfInput ends the input before each answer: nothing is written then.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	for name, c := range conversations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := c.lines(false)
			folder := folderFor(t)
			for n := range lines {
				typed := strings.Join(lines[:n], "\n")
				if n > 0 {
					typed += "\n"
				}
				got := converse(t, folder, typed, true, c.args...)
				if !errors.Is(got.err, io.EOF) {
					t.Errorf("after %d answers: %v; the screen:\n%s", n, got.err, got.screen)
				}
				if _, err := os.Lstat(filepath.Join(folder, "conf")); err == nil {
					t.Fatalf("after %d answers something was written", n)
				}
			}
		})
	}
}

// TestPasswordFile checks what becomes of a password that was typed.
func TestPasswordFile(t *testing.T) {
	t.Parallel()
	folder := folderFor(t)
	c := conversations()["identity on its own host"]
	typed := strings.Join(c.lines(false), "\n")
	if got := converse(t, folder, strings.Replace(typed, "hunter2", ` "hunter2" #: \ü `, 1)+"\n", true); got.err != nil {
		t.Fatal(got.err)
	}
	path := filepath.Join(folder, "conf", passwordFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	loaded, err := config.Load(filepath.Join(folder, "conf", "persona.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Directories["corp"].BindPassword; !got.Equal(strict.NewSecret(` "hunter2" #: \ü `)) {
		t.Errorf("the password is read as %q", got.Reveal())
	}
}

// TestFlagsFirst: flags that no answer could correct are refused before a question
// is asked.
func TestFlagsFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a faulty flag":             {[]string{"-domain", "Example.com"}, "-domain: \"Example.com\" has upper-case letters"},
		"a flag of the directory":   {[]string{"-base-dn", "people"}, "-base-dn: "},
		"flags that contradict":     {[]string{"-authority", "id.example.com", "-directory-url", "ldaps://ldap"}, "-authority is for a domain"},
		"certifies with authority":  {[]string{"-authority", "id.example.com", "-certifies", "example.com"}, "-certifies is for the host that signs"},
		"a file that is there":      {[]string{"-out", "IN/taken.yaml"}, "taken.yaml exists already"},
		"two faults in one message": {[]string{"-domain", "Example.com", "-upstream", "cms"}, "-upstream: \"cms\" has no scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := converse(t, folderFor(t), "", true, test.args...)
			if refusal := got.refusal(t); !strings.Contains(refusal, test.want) || strings.Contains(got.screen, " > ") {
				t.Errorf("got %s; the screen:\n%s", refusal, got.screen)
			}
		})
	}
}

// TestPasswordInTheWay: the password never replaces a file, also not where the
// configuration was placed by a flag.
func TestPasswordInTheWay(t *testing.T) {
	t.Parallel()
	folder := folderFor(t)
	c := conversations()["identity on its own host"]
	var lines []string
	for _, turn := range c.turns {
		if turn.title != turnOut.title {
			lines = append(lines, turn.answer)
		}
	}
	got := converse(t, folder, strings.Join(lines, "\n")+"\n", true, "-out", "IN/full/persona.yaml")
	if refusal := got.refusal(t); !strings.Contains(refusal, passwordFile+" exists already, and setup overwrites nothing (hint: use it with -bind-password-file") {
		t.Errorf("got %s", refusal)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "full", passwordFile)); err != nil || len(data) > 0 {
		t.Error("the file was changed")
	}
}

// TestWithoutRights: only root is told how to give files to another user.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	lines := strings.Join(conversations()["signed for elsewhere"].lines(false), "\n") + "\n"
	for _, root := range []bool{false, true} {
		got := converse(t, folderFor(t), lines, root)
		if got.err != nil || strings.Contains(got.out, "chown persona") != root {
			t.Errorf("root %t: %v\n%s", root, got.err, got.out)
		}
	}
}

// TestDefaultStateDir: the state directory in the file is the one that the
// configuration has by default.
func TestDefaultStateDir(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"PERSONA_DOMAIN=example.com", "PERSONA_UPSTREAM=http://cms"})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	got := call(t, folder, setup.Env{Screen: io.Discard, Out: io.Discard}, []string{"-domain", "example.com", "-authority", "id.example.org", "-out", "IN/persona.yaml"})
	if got.err != nil {
		t.Fatal(got.err)
	}
	written, err := config.Load(filepath.Join(folder, "persona.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != written.StateDir {
		t.Errorf("setup writes %s, the configuration has %s", written.StateDir, c.StateDir)
	}
}
