//go:build unix

package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"persona-sidecar/cmd/internal/apptest"

	"github.com/google/go-cmp/cmp"
)

// run runs persona to its end, which must come soon, and returns its exit code and what
// it says.
func run(t *testing.T, command *exec.Cmd) (code int, stderr string) {
	t.Helper()
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() }) // it has ended, unless the test fails
	apptest.Eventually(t, "it ends", func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	return command.ProcessState.ExitCode(), said.String()
}

// TestDamagedState: a keyset that cannot be used is named with its cure, and
// nothing is overwritten, so that it works again once fixed.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	world(t, folder, deadDirectory, "example.test")
	p := serve(t, folder)
	p.ready(t)
	published := p.document(t, "example.test")
	p.terminate(t)
	state := filepath.Join(folder, "state")
	good := files(t, state)
	const key, secret = "persona/keys/example.test.json", "persona/keys/_program.json"

	for _, fault := range []struct {
		name   string
		file   string
		damage func(path, text string) error
		want   []string
	}{
		{"a key cut short", key, rewrite(half), []string{"JSON", "restore the file from a backup", "certificates already issued stop verifying"}},
		{"an empty key", key, rewrite(nothing), []string{"JSON"}},
		{"a cookie secret cut short", secret, rewrite(half), []string{"JSON", "restore the file from a backup", "everyone has to sign in again"}},
		{"an empty cookie secret", secret, rewrite(nothing), []string{"JSON"}},
		{"a key that all may read", key, chmod(0o644), []string{"mode 0644", "(hint: chmod 0600 "}},
		{"a cookie secret that all may change", secret, chmod(0o666), []string{"mode 0666", "(hint: chmod 0600 "}},
		{"a restore that all may read", key, func(path, _ string) error {
			return errors.Join(os.Chmod(path, 0o644), os.Chmod(filepath.Join(state, secret), 0o644))
		}, []string{"others may read or change 2 files", secret + " (mode 0644)", "(hint: chmod -R go= " + state + ")"}},
		{"a version of another day", "persona/version", func(path, _ string) error { return os.WriteFile(path, []byte("7\n"), 0o600) }, []string{"newer persona"}},
		{"the version of an earlier persona", "persona/version", func(path, _ string) error { return os.WriteFile(path, []byte("1\n"), 0o600) }, []string{"older persona", "use another state_dir"}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			path := filepath.Join(state, fault.file)
			if err := fault.damage(path, good[fault.file]); err != nil {
				t.Fatal(err)
			}
			damaged := files(t, state)
			code, said := run(t, persona(t, folder, "serve", "-config", "persona.yaml"))
			if code != 1 {
				t.Errorf("it exited with %d", code)
			}
			for _, want := range append(fault.want, "persona: starting: ", fault.file, "hint: ") {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in what it says:\n%s", want, said)
				}
			}
			if diff := cmp.Diff(damaged, files(t, state)); diff != "" {
				t.Errorf("the state directory was changed:\n%s", diff)
			}
			put(t, path, good[fault.file])
			if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(filepath.Join(state, secret), 0o600)); err != nil {
				t.Fatal(err)
			}
		})
	}

	p = serve(t, folder)
	p.ready(t)
	if diff := cmp.Diff(published, p.document(t, "example.test")); diff != "" {
		t.Errorf("fixed, it publishes another key:\n%s", diff)
	}
}

func half(text string) string    { return text[:len(text)/2] }
func nothing(text string) string { return "" }

func rewrite(change func(string) string) func(path, text string) error {
	return func(path, text string) error { return os.WriteFile(path, []byte(change(text)), 0o600) }
}

func chmod(bits os.FileMode) func(path, text string) error {
	return func(path, _ string) error { return os.Chmod(path, bits) }
}

// cureLine finds the command that an error about the state directory ends in.
var cureLine = regexp.MustCompile(`\(hint: .*as root.*: ((?:mkdir|chown) .*)\)$`)

// TestUnwritableState: a state directory that is another user's is told with the exact
// command that fixes it, and after that command it works.
func TestUnwritableState(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, state string){
		"another user's": func(t *testing.T, state string) { mkdir(t, state, 0o755) },
		"missing":        func(*testing.T, string) {},
		"once used as root": func(t *testing.T, state string) {
			mkdir(t, state, 0o777)
			mkdir(t, filepath.Join(state, "persona"), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 {
				t.Skip("only root can make a directory of another user")
			}
			folder := publicFolder(t)
			world(t, folder, deadDirectory, "example.test")
			if err := os.Chmod(filepath.Join(folder, "persona.yaml"), 0o644); err != nil {
				t.Fatal(err)
			}
			state := filepath.Join(folder, "state")
			prepare(t, state)
			command := persona(t, folder, "serve", "-config", "persona.yaml")
			command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
			code, said := run(t, command)
			said = last(said)
			cure := cureLine.FindStringSubmatch(said)
			if code != 1 || !strings.HasPrefix(said, "persona: starting: ") || cure == nil || !strings.Contains(said, state) {
				t.Fatalf("it exited with %d and said\n%s", code, said)
			}

			// In a container the host's name for the folder is not known.
			fix := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(cure[1], "FOLDER", state))
			if out, err := fix.CombinedOutput(); err != nil {
				t.Fatalf("the cure %q: %v %s", cure[1], err, out)
			}
			p := newProcess(persona(t, folder, "serve", "-config", "persona.yaml"))
			p.command.SysProcAttr = command.SysProcAttr
			p.start(t)
			p.ready(t)
			p.document(t, "example.test")
		})
	}
}

// last returns the last line of a text.
func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func mkdir(t *testing.T, path string, bits os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, bits); err != nil {
		t.Fatal(err)
	}
}

// publicFolder makes a folder that other users can reach, unlike t.TempDir.
func publicFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "persona")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	mkdir(t, folder, 0o755)
	return folder
}

// TestFiftyFaults: all faults of a configuration are listed at once, each with its line.
func TestFiftyFaults(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("../config/testdata/fifty.bad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	code, said := run(t, persona(t, t.TempDir(), "serve", "-config", file))
	listed := 0
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, file+":") {
			listed++
		}
	}
	if code != 2 || listed < 50 || !strings.HasPrefix(said, fmt.Sprintf("persona: the configuration has %d faults (hint: ", listed)) {
		t.Errorf("it exited with %d and listed %d faults:\n%s", code, listed, said)
	}
}
