package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// talk is what a conversation came to.
type talk struct {
	code           int
	stdout, stderr string
}

// converse runs setup in front of somebody who types text and then ends the
// input. IN stands for the folder.
func converse(t *testing.T, folder, typed string, root bool, args ...string) talk {
	t.Helper()
	var stdout, stderr bytes.Buffer
	sh := shell{
		stdin: strings.NewReader(strings.ReplaceAll(typed, "IN", folder)), stdout: &stdout, stderr: &stderr, root: root,
		isTerminal: func(io.Reader) bool { return true },
		readHidden: func(_ context.Context, in io.Reader) (string, error) { return readLine(in) },
	}
	args = append([]string{"setup"}, args...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "IN", folder)
	}
	code := run(t.Context(), sh, args)
	return talk{code, stdout.String(), stderr.String()}
}

// folderFor returns a folder with the files that answers may name.
func folderFor(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "taken.yaml"), "")
	write(t, filepath.Join(folder, "no-roots.pem"), "nothing")
	write(t, filepath.Join(folder, "c.pem"), "")
	write(t, filepath.Join(folder, "secret"), "hunter2\n")
	if err := os.MkdirAll(filepath.Join(folder, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "full", passwordFile), "")
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
				if got.code != exitFine {
					t.Fatalf("exit code %d:\n%s", got.code, got.stderr)
				}
				c.checkQuestions(t, got.stderr, wrong, folder)
				c.checkResult(t, got.stdout, folder)
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
			find("  Not so: ")
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
				if got.code != exitUsage || !strings.Contains(got.stderr, "persona: the input ended before all was answered, so nothing was done") {
					t.Errorf("after %d answers: exit code %d:\n%s", n, got.code, got.stderr)
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
	if got := converse(t, folder, strings.Replace(typed, "hunter2", ` "hunter2" #: \ü `, 1)+"\n", true); got.code != exitFine {
		t.Fatal(got.stderr)
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
	if got := loaded.Directories["corp"].BindPassword; !got.Equal(config.NewSecret(` "hunter2" #: \ü `)) {
		t.Errorf("the password is read as %q", got.Reveal())
	}
}

// TestFlagsFirst: flags that no answer could mend are refused before a question
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
		"an owner that is not":      {[]string{"-owner", "nobody-of-that-name"}, "-owner: there is no user"},
		"two faults in one message": {[]string{"-domain", "Example.com", "-upstream", "cms"}, "setup found 2 faults"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := converse(t, folderFor(t), "", true, test.args...)
			if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, " > ") {
				t.Errorf("exit code %d:\n%s", got.code, got.stderr)
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
	if got.code != exitUsage || !strings.Contains(got.stderr, passwordFile+" exists already, and setup overwrites nothing (hint: use it with -bind-password-file") {
		t.Errorf("exit code %d:\n%s", got.code, got.stderr)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "full", passwordFile)); err != nil || len(data) > 0 {
		t.Error("the file was changed")
	}
}

// TestWithoutRights: who is not root is not asked for an owner.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	c := conversations()["signed for elsewhere"]
	lines := c.lines(false)
	folder := folderFor(t)
	got := converse(t, folder, strings.Join(lines[:len(lines)-1], "\n")+"\n", false)
	if got.code != exitFine || strings.Contains(got.stderr, "User that will run persona") {
		t.Errorf("exit code %d:\n%s", got.code, got.stderr)
	}
}

// TestInterrupted ends the context while an answer is awaited.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	typed, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var screen bytes.Buffer
	sh := shell{
		stdin: &onRead{Reader: typed, then: cancel}, stdout: io.Discard, stderr: &screen,
		isTerminal: func(io.Reader) bool { return true },
	}
	if code := run(ctx, sh, []string{"setup"}); code != exitUsage || !strings.Contains(screen.String(), "persona: stopped before all was answered, so nothing was done") {
		t.Errorf("exit code %d:\n%s", code, &screen)
	}
}

// onRead calls then before it reads.
type onRead struct {
	io.Reader
	then func()
}

func (r *onRead) Read(p []byte) (int, error) {
	r.then()
	return r.Reader.Read(p)
}

// TestLongAnswer: nobody types so much.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	got := converse(t, folderFor(t), strings.Repeat("x", maxAnswer+1)+"\n", true)
	if got.code != exitUsage || !strings.Contains(got.stderr, "it is longer than 4096 bytes") {
		t.Errorf("exit code %d:\n%s", got.code, got.stderr)
	}
}

// TestDefaultStateDir: setup makes the folder that the configuration means.
func TestDefaultStateDir(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"PERSONA_DOMAIN=example.com", "PERSONA_UPSTREAM=http://cms"})
	if err != nil {
		t.Fatal(err)
	}
	if c.StateDir != defaultStateDir {
		t.Errorf("setup knows %s, the configuration %s", defaultStateDir, c.StateDir)
	}
}
