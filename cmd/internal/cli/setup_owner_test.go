package cli

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// service is a user that no machine has.
const service = 54321

// reachableFolder returns a folder that every user may enter: those of t.TempDir
// are not.
func reachableFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "persona-owner-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// setUp runs setup without a terminal. IN stands for the folder.
func setUp(t *testing.T, folder string, args ...string) talk {
	t.Helper()
	args = append([]string{"setup", "-domain", "example.com", "-authority", "id.example.org", "-out", "IN/conf/persona.yaml", "-state-dir", "IN/state"}, args...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "IN", folder)
	}
	var stdout, stderr bytes.Buffer
	sh := shell{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, isTerminal: func(io.Reader) bool { return false }}
	return talk{run(t.Context(), sh, args), stdout.String(), stderr.String()}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
}

// entries returns owner, group and mode of everything below a folder.
func entries(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		uid, gid := ownerOf(info)
		name, err := filepath.Rel(folder, path)
		fmt.Fprintf(&b, "%s %d:%d %o\n", name, uid, gid, info.Mode().Perm())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOwner(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, test := range map[string]struct {
		before func(folder string) error
		owner  string
		want   string
	}{
		"user and group": {nil, "54321:54322", "conf 54321:54322 700\nconf/persona.yaml 54321:54322 600\nstate 54321:54322 700\n"},
		"user alone":     {nil, "54321", "conf 54321:0 700\nconf/persona.yaml 54321:0 600\nstate 54321:0 700\n"},
		"by name":        {nil, "root:0", "conf 0:0 700\nconf/persona.yaml 0:0 600\nstate 0:0 700\n"},
		"a folder that was there is left as it is": {
			func(folder string) error { return os.Mkdir(filepath.Join(folder, "conf"), 0o751) },
			"54321:54321", "conf 0:0 751\nconf/persona.yaml 54321:54321 600\nstate 54321:54321 700\n",
		},
		"an empty state directory is given": {
			func(folder string) error { return os.Mkdir(filepath.Join(folder, "state"), 0o755) },
			"54321:54321", "conf 54321:54321 700\nconf/persona.yaml 54321:54321 600\nstate 54321:54321 700\n",
		},
		"the service's own state directory": {
			func(folder string) error {
				state := filepath.Join(folder, "state")
				return firstError(os.Mkdir(state, 0o700), os.WriteFile(filepath.Join(state, "key"), nil, 0o600), os.Chown(state, service, service))
			},
			"54321:54321", "conf 54321:54321 700\nconf/persona.yaml 54321:54321 600\nstate 54321:54321 700\nstate/key 0:0 600\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := reachableFolder(t)
			if test.before != nil {
				if err := test.before(folder); err != nil {
					t.Fatal(err)
				}
			}
			got := setUp(t, folder, "-owner", test.owner)
			if got.code != exitFine {
				t.Fatal(got.stderr)
			}
			if got := entries(t, folder); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
			if want := fmt.Sprintf("the state directory %s/state, are %s's alone.", folder, test.owner); !strings.Contains(got.stdout, want) {
				t.Errorf("the notes lack %q:\n%s", want, got.stdout)
			}
		})
	}
}

// TestOwnerOfPassword types a password that then belongs to the service.
func TestOwnerOfPassword(t *testing.T) {
	t.Parallel()
	needRoot(t)
	folder := reachableFolder(t)
	c := conversations()["identity on its own host"]
	typed := strings.Join(c.lines(false), "\n") + "\n"
	got := converse(t, folder, strings.Replace(typed, "\n"+none+"\n", "\n54321:54321\n", 1), true, "-state-dir", "IN/lib/state")
	if got.code != exitFine {
		t.Fatal(got.stderr)
	}
	want := "conf 54321:54321 700\nconf/ldap_password 54321:54321 600\nconf/persona.yaml 54321:54321 600\nlib 0:0 755\nlib/state 54321:54321 700\n"
	if got := entries(t, folder); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestOwnerRefused: nothing is written where the service could not use it, or
// where it would take something away from somebody.
func TestOwnerRefused(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, test := range map[string]struct {
		before func(folder string) error
		want   string
	}{
		"a folder above that is barred": {
			func(folder string) error { return os.Chmod(folder, 0o700) },
			"54321 could not reach IN/conf/persona.yaml: it may not enter IN (hint: choose another place, with -out or -state-dir, or let it in: chmod o+x IN)",
		},
		"somebody else's state": {
			func(folder string) error {
				state := filepath.Join(folder, "state")
				return firstError(os.Mkdir(state, 0o755), os.WriteFile(filepath.Join(state, "letter"), nil, 0o600))
			},
			"-state-dir: IN/state is not 54321's and not empty (hint: if it holds persona's keys: chown -R 54321 IN/state; else name another)",
		},
		"a link to somebody else's folder, though empty": {
			func(folder string) error {
				return firstError(os.Mkdir(filepath.Join(folder, "other"), 0o755), os.Symlink(filepath.Join(folder, "other"), filepath.Join(folder, "state")))
			},
			"-state-dir: IN/state is a link to a folder that is not 54321's (hint: name that folder itself)",
		},
		"a file in the place of the state": {
			func(folder string) error { return os.WriteFile(filepath.Join(folder, "state"), nil, 0o600) },
			"-state-dir: IN/state is a file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := reachableFolder(t)
			if err := test.before(folder); err != nil {
				t.Fatal(err)
			}
			before := entries(t, folder)
			got := setUp(t, folder, "-owner", "54321")
			if got.code != exitUsage || !strings.Contains(got.stderr, strings.ReplaceAll(test.want, "IN", folder)) {
				t.Errorf("exit code %d:\n%s", got.code, got.stderr)
			}
			if after := entries(t, folder); after != before {
				t.Errorf("it changed\n%sinto\n%s", before, after)
			}
		})
	}
}

// TestOwnerWithoutRights: who is not root can only name themselves.
func TestOwnerWithoutRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may give files to anybody")
	}
	folder := reachableFolder(t)
	if got := setUp(t, folder, "-owner", "54321"); got.code != exitUsage || !strings.Contains(got.stderr, "only root can give files to 54321") {
		t.Errorf("exit code %d:\n%s", got.code, got.stderr)
	}
	if got := setUp(t, folder, "-owner", fmt.Sprint(os.Geteuid())); got.code != exitFine {
		t.Errorf("exit code %d:\n%s", got.code, got.stderr)
	}
}

// TestOwnerCannotRead: what flags named stays whose it is, and the notes say so.
func TestOwnerCannotRead(t *testing.T) {
	t.Parallel()
	needRoot(t)
	folder := reachableFolder(t)
	write(t, filepath.Join(folder, "c.pem"), "")
	write(t, filepath.Join(folder, "k.pem"), "")
	if err := os.Chmod(filepath.Join(folder, "c.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := setUp(t, folder, "-owner", "54321", "-cert-file", "IN/c.pem", "-key-file", "IN/k.pem")
	if want := "54321 may not read " + folder + "/k.pem yet: chown 54321 "; got.code != exitFine || !strings.Contains(got.stdout, want) {
		t.Errorf("exit code %d, the notes lack %q:\n%s%s", got.code, want, got.stdout, got.stderr)
	}
	if strings.Contains(got.stdout, "/c.pem") {
		t.Errorf("what can be read is named:\n%s", got.stdout)
	}
}

// TestHalfWritten: when one of the files cannot be written, none is left.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	folder := reachableFolder(t)
	w := &writer{}
	a := &answers{Out: filepath.Join(folder, "new", "conf", strings.Repeat("x", 300))}
	if err := w.all(a, nil); err == nil {
		t.Fatal("a name of 300 bytes was written")
	}
	w.undo()
	if left := entries(t, folder); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestOwnerSwapped: what takes the place of a folder after it was looked at is
// not given away.
func TestOwnerSwapped(t *testing.T) {
	t.Parallel()
	needRoot(t)
	folder := reachableFolder(t)
	other := filepath.Join(folder, "other")
	err := firstError(os.Mkdir(other, 0o755), os.WriteFile(filepath.Join(other, "letter"), nil, 0o644), os.Symlink(other, filepath.Join(folder, "link")))
	if err != nil {
		t.Fatal(err)
	}
	before := entries(t, folder)
	w := &writer{owner: &owner{name: "54321", uid: service, gid: service}}
	for _, name := range []string{"link", "other", "other/letter"} {
		if err := w.giveFolder(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s was given away", name)
		}
	}
	if after := entries(t, folder); after != before {
		t.Errorf("it changed\n%sinto\n%s", before, after)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
