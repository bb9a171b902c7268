package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"

	"golang.org/x/sys/unix"
)

// terminal is a real one, with a persona at it.
type terminal struct {
	keys    *os.File // where a person types and looks
	line    *os.File // where the program reads and writes
	command *exec.Cmd
	stdout  bytes.Buffer

	mu     sync.Mutex
	screen bytes.Buffer
}

// atTerminal starts persona in a folder with a terminal of its own.
func atTerminal(t *testing.T, folder string, args ...string) *terminal {
	t.Helper()
	keys, line, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{keys: keys, line: line}
	t.Cleanup(func() { _, _ = keys.Close(), line.Close() })
	term.command = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	term.command.Args = append([]string{"persona"}, args...)
	term.command.Dir = folder
	term.command.Stdin, term.command.Stderr, term.command.Stdout = line, line, &term.stdout
	term.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := term.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.command.Process.Kill() })
	go term.look()
	return term
}

func openTerminal() (keys, line *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	keys = os.NewFile(uintptr(fd), "/dev/ptmx")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		line, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, keys.Close())
	}
	return keys, line, nil
}

// look reads the screen until the terminal is closed.
func (term *terminal) look() {
	for part := make([]byte, 1024); ; {
		n, err := term.keys.Read(part)
		term.mu.Lock()
		term.screen.Write(part[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) seen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

// shows reports whether the terminal shows what is typed.
func (term *terminal) shows(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(term.line.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (term *terminal) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(apptest.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("timed out waiting for %s; the screen:\n%s", what, term.seen())
		}
	}
}

func (term *terminal) typeIn(t *testing.T, text string) {
	t.Helper()
	if _, err := term.keys.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// exitCode waits for the end of the program.
func (term *terminal) exitCode(t *testing.T) int {
	t.Helper()
	stop := time.AfterFunc(apptest.Patience, func() { _ = term.command.Process.Kill() })
	defer stop.Stop()
	err := term.command.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return term.command.ProcessState.ExitCode()
}

// allButThePassword are flags that leave one question.
var allButThePassword = []string{
	"setup", "-domain", "id.example.com", "-certifies", "example.com", "-behind-proxy", "private", "-directory-url", "ldaps://ldap", "-directory-ca-file", "",
	"-base-dn", "dc=example", "-bind-dn", "cn=persona", "-out", "conf/persona.yaml",
}

// TestTerminal types an answer and a password at a real terminal.
func TestTerminal(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	term := atTerminal(t, folder, "setup", "-certifies", "example.com", "-behind-proxy", "private", "-directory-url", "ldaps://ldap", "-directory-ca-file", "",
		"-base-dn", "dc=example", "-bind-dn", "cn=persona", "-out", "conf/persona.yaml")
	term.until(t, "the question", func() bool { return strings.Contains(term.seen(), "[id.example.com] > ") })
	term.typeIn(t, "login.example.com\n")
	term.until(t, "the question for the password", func() bool {
		return strings.Contains(term.seen(), "Password of cn=persona") && !term.shows(t)
	})
	term.typeIn(t, "hunter2\n")
	if code := term.exitCode(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, term.seen())
	}
	if !strings.Contains(term.seen(), "login.example.com") || strings.Contains(term.seen(), "hunter2") {
		t.Errorf("the screen shows too little or too much:\n%s", term.seen())
	}
	if !term.shows(t) {
		t.Error("the terminal does not show any more what is typed")
	}
	data, err := os.ReadFile(filepath.Join(folder, "conf", "ldap_password"))
	if err != nil || string(data) != "hunter2\n" {
		t.Errorf("the file holds %q: %v", data, err)
	}
	if !strings.Contains(term.stdout.String(), `{"authority":"login.example.com"}`) || strings.Contains(term.stdout.String(), "hunter2") {
		t.Errorf("the notes:\n%s", &term.stdout)
	}
}

// TestTerminalLeftAlone ends the question for the password by an end of input and
// by Ctrl-C: nothing is written, and the terminal is as it was.
func TestTerminalLeftAlone(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"Ctrl-D": "\x04", "Ctrl-C": "\x03"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			term := atTerminal(t, folder, allButThePassword...)
			term.until(t, "the question for the password", func() bool { return !term.shows(t) })
			term.typeIn(t, key)
			if code := term.exitCode(t); code != 2 {
				t.Errorf("exit code %d", code)
			}
			term.until(t, "the reason", func() bool {
				return strings.Contains(term.seen(), "persona: the input ended before all was answered, so nothing was done")
			})
			if !term.shows(t) {
				t.Error("the terminal does not show any more what is typed")
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
