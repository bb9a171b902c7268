//go:build unix

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
)

// TestMain is also the program that a test runs as another user, under a limit, or several times at once.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PERSONA_TEST_OPEN"); dir != "" {
		os.Exit(child(dir))
	}
	if dir := os.Getenv("PERSONA_TEST_KEYS"); dir != "" {
		os.Exit(createKeys(dir))
	}
	if dir := os.Getenv("PERSONA_TEST_LOCK"); dir != "" {
		os.Exit(holdLock(dir))
	}
	os.Exit(m.Run())
}

// child opens a directory and prints the error. With PERSONA_TEST_LIMIT set it then
// stores a value larger than it may write.
func child(dir string) int {
	f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
	if err == nil && os.Getenv("PERSONA_TEST_LIMIT") != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 4096, Max: 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Println("limit:", err)
			return 2
		}
		err = f.Store(noContext(), "persona/test/value", bytes.Repeat([]byte("new"), 10_000))
	}
	if err != nil {
		fmt.Println(hinted(err))
		return 1
	}
	return 0
}

func open(t *testing.T, dir string) *store.Files {
	t.Helper()
	f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOpenCreatesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "lib", "persona")
	f := open(t, dir)
	if err := f.Store(t.Context(), "persona/test/value", []byte("one")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		".": 0o700, "persona": 0o700, "persona/test": 0o700, "persona/test/value": 0o600, "persona/version": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", name, got, want)
		}
	}
	open(t, dir)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) (open string)
		want    string
	}{
		"no name": {
			func(*testing.T, string) string { return "" },
			"no directory given",
		},
		"a file": {
			func(t *testing.T, dir string) string { return write(t, filepath.Join(dir, "state"), "", 0o600) },
			"is a file (hint: name a directory)",
		},
		"below a file": {
			func(t *testing.T, dir string) string {
				return filepath.Join(write(t, filepath.Join(dir, "state"), "", 0o600), "persona")
			},
			"not a directory",
		},
		"a newer layout": {
			func(t *testing.T, dir string) string {
				write(t, filepath.Join(dir, "persona/version"), "3\n", 0o600)
				return dir
			},
			"written by a newer persona, layout 3, this one reads 2 (hint:",
		},
		"an older layout": {
			func(t *testing.T, dir string) string {
				write(t, filepath.Join(dir, "persona/version"), "1\n", 0o600)
				return dir
			},
			"written by an older persona, layout 1, this one reads 2 (hint: run the older one, or use another state_dir",
		},
		"a damaged version": {
			func(t *testing.T, dir string) string {
				write(t, filepath.Join(dir, "persona/version"), "\x00\x00", 0o600)
				return dir
			},
			"not a version number (hint: restore the file, its content is the line 2)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store.OpenFiles(test.prepare(t, t.TempDir()), time.Now, zerolog.Nop())
			if !strings.Contains(hinted(err), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestUnwritableDirectoryHasACommandAsHint(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) (open string)
		want    func(open, user string) string
	}{
		"owned by another": {
			func(_ *testing.T, dir string) string { return dir },
			func(open, user string) string {
				return fmt.Sprintf("(hint: as root: chown -R %s %s && chmod -R u+rwX %s)", user, open, open)
			},
		},
		"sub-directory owned by another": {
			func(t *testing.T, dir string) string {
				mustChmod(t, dir, 0o777)
				if err := os.Mkdir(filepath.Join(dir, "certificates"), 0o500); err != nil {
					t.Fatal(err)
				}
				return dir
			},
			func(open, user string) string {
				return fmt.Sprintf("(hint: as root: chown -R %s %s && chmod -R u+rwX %s)", user, open, open)
			},
		},
		"missing": {
			func(_ *testing.T, dir string) string { return filepath.Join(dir, "new") },
			func(open, user string) string {
				return fmt.Sprintf("(hint: as root: mkdir -p %s && chown %s %s && chmod 0700 %s)", open, user, open, open)
			},
		},
		"missing, with a blank in its name": {
			func(_ *testing.T, dir string) string { return filepath.Join(dir, "my state") },
			func(open, user string) string {
				return fmt.Sprintf("mkdir -p '%s' && chown %s '%s' && chmod 0700 '%s')", open, user, open, open)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := publicDir(t)
			mustChmod(t, dir, 0o555)
			t.Cleanup(func() { mustChmod(t, dir, 0o755) })
			name := test.prepare(t, dir)
			out, user := openAsUser(t, name)
			if want := test.want(name, user); !strings.Contains(out, want) {
				t.Errorf("got  %s\nwant %s", out, want)
			}
		})
	}
}

// openAsUser opens dir in a process without root's rights and returns what it prints.
func openAsUser(t *testing.T, dir string, env ...string) (out, user string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "PERSONA_TEST_OPEN="+dir)
	user = fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65531}}
		user = "65532:65531"
	}
	cmd.Env = append(cmd.Env, env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("it printed %q and ended with %v", text, err)
	}
	return string(text), user
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode fs.FileMode
		err  string
		log  string
	}{
		{0o600, "", ""},
		{0o400, "", ""},
		{0o640, "", "chmod 0600"},
		{0o660, "", "chmod 0600"},
		{0o604, "mode 0604", ""},
		{0o644, "mode 0644", ""},
		{0o602, "mode 0602", ""},
	} {
		t.Run(fmt.Sprintf("%04o", test.mode), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			dir := t.TempDir()
			f := open(t, dir) // before the mode changes
			file := write(t, filepath.Join(dir, "persona/keys/key.json"), "secret text", test.mode)
			if _, err := store.OpenFiles(dir, time.Now, zerolog.New(&log)); test.err == "" && err != nil ||
				test.err != "" && (err == nil || !strings.Contains(hinted(err), test.err) || !strings.HasSuffix(hinted(err), "(hint: chmod 0600 "+file+")")) {
				t.Errorf("OpenFiles: %v", err)
			}
			value, err := f.Load(t.Context(), "persona/keys/key.json")
			switch {
			case test.err == "" && (err != nil || string(value) != "secret text"):
				t.Errorf("Load: %q, %v", value, err)
			case test.err != "" && (err == nil || value != nil):
				t.Errorf("Load gave %q", value)
			case test.err != "" && (!strings.Contains(err.Error(), test.err) || !strings.Contains(hinted(err), "(hint: chmod 0600 "+file+")")):
				t.Errorf("Load: %v", hinted(err))
			}
			if test.log == "" && log.Len() > 0 || test.log != "" && strings.Count(log.String(), test.log+" "+file) != 1 {
				t.Errorf("logged %s", log.String())
			}
			var want []store.Problem
			if test.err+test.log != "" {
				want = []store.Problem{{Path: file, Mode: test.mode, Fix: "chmod 0600 " + file}}
			}
			problems := store.Inspect(dir)
			if diff := cmp.Diff(want, problems, cmpopts.IgnoreFields(store.Problem{}, "Text", "Err")); diff != "" {
				t.Errorf("Inspect (-want +got):\n%s", diff)
			}
			for _, p := range problems {
				if (p.Err != nil) != (test.err != "") || !strings.Contains(p.Text, fmt.Sprintf("mode %04o", test.mode)) {
					t.Errorf("Inspect: %q, %v", p.Text, p.Err)
				}
			}
		})
	}
}

// TestAllModesAtOnce: a directory that was restored with wide modes is refused once, with
// every file and one command, and after that command nothing is wrong.
func TestAllModesAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bits    fs.FileMode
		refused bool
	}{"for all": {0o644, true}, "for the group": {0o660, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "the state")
			files := []string{"persona/version", "persona/keys/_program.json", "persona/keys/example.test.json", "persona/expiring/x", "certificates/acme/x/x.key", "acme/users/x/x.key"}
			for _, name := range files {
				write(t, filepath.Join(dir, name), "2\n", test.bits)
			}
			write(t, filepath.Join(dir, "certificates/acme/x/x.crt"), "public", test.bits)
			command := "chmod -R go= '" + dir + "'"
			var log bytes.Buffer
			_, err := store.OpenFiles(dir, time.Now, zerolog.New(&log))
			said := log.String()
			if test.refused {
				if err == nil || !strings.Contains(err.Error(), "others may read or change 6 files") || !strings.HasSuffix(hinted(err), "(hint: "+command+")") {
					t.Fatalf("got %v", err)
				}
				said += err.Error()
			} else if err != nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, command) {
				t.Fatalf("logged %s, %v", said, err)
			}
			for _, name := range files {
				if !strings.Contains(said, filepath.Join(dir, name)+fmt.Sprintf(" (mode %04o)", test.bits)) {
					t.Errorf("%s is not in %s", name, said)
				}
			}
			for _, p := range store.Inspect(dir) {
				if p.Fix != command {
					t.Errorf("%s: %s", p.Path, p.Fix)
				}
			}
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if problems := store.Inspect(dir); problems != nil {
				t.Errorf("after the command: %v", problems)
			}
			if _, err := store.OpenFiles(dir, time.Now, zerolog.Nop()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyModes: thousands of sign-outs do not make a message of thousands of lines.
func TestManyModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 100 {
		write(t, filepath.Join(dir, "persona/expiring", fmt.Sprint(i)), "x", 0o644)
	}
	_, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "100 files") || !strings.Contains(err.Error(), "and 80 more") || strings.Count(err.Error(), "mode 0644") != 20 {
		t.Errorf("got %v", err)
	}
}

// TestClaim: the second of two that serve from one directory knows at once, and may
// claim it when the first has ended.
func TestClaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	if err := first.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := second.Claim(t.Context())
	if !errors.Is(err, store.ErrShared) || !strings.Contains(hinted(err), "fuser "+dir) {
		t.Errorf("got %v", hinted(err))
	}
	for _, f := range []*store.Files{second, first} { // the second has nothing to give back
		if err := f.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err, free := second.Claim(t.Context()), f == first; free != (err == nil) {
			t.Errorf("got %v", err)
		}
	}
}

func TestModesOfOthersAreTheirs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	write(t, filepath.Join(dir, "certificates/x.crt"), "public", 0o644)
	if _, err := f.Load(t.Context(), "certificates/x.crt"); err != nil {
		t.Error(err)
	}
}

func TestInspectLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if problems := store.Inspect(filepath.Join(dir, "new")); problems != nil {
		t.Errorf("of a missing directory: %v", problems)
	}
	if problems := store.Inspect(dir); problems != nil {
		t.Errorf("of an empty directory: %v", problems)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestDirectoryOpenToAllIsLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustChmod(t, dir, 0o777)
	var log bytes.Buffer
	if _, err := store.OpenFiles(dir, time.Now, zerolog.New(&log)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "chmod 0700 "+dir) {
		t.Errorf("logged %s", log.String())
	}
}

func TestInterruptedWriteKeepsTheOldValue(t *testing.T) {
	t.Parallel()
	dir := publicDir(t)
	mustChmod(t, dir, 0o777)
	file := filepath.Join(dir, "persona/test/value")
	for _, name := range []string{"persona", "persona/test"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		mustChmod(t, filepath.Join(dir, name), 0o777)
	}
	write(t, file, "old", 0o600)
	out, _ := openAsUser(t, dir, "PERSONA_TEST_LIMIT=1")
	if !strings.Contains(out, "storing "+file) || !strings.Contains(out, "file too large") {
		t.Errorf("got %s", out)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "old" {
		t.Errorf("the value is now %.20q, %v", text, err)
	}
	expectOnly(t, filepath.Dir(file), "value")
}

func TestOpeningLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	if _, err := f.Load(t.Context(), "persona/keys/_program.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func expectOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("in the directory: %v, %v", entries, err)
	}
}
