package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
)

// Problem is something about the modes and owners in a state directory that the
// operator should change.
type Problem struct {
	Path string      // the file or directory
	Mode fs.FileMode // its permissions; 0 when they are unknown
	Text string      // what is wrong, without the path
	Fix  string      // what to do, a command where there is one
	// Err is why the store refuses to use Path. A problem without it is a warning.
	Err error
}

// errExposed is the refusal of a file that every user can read or change.
var errExposed = errors.New("others may read or change this file")

// Inspect reports what is wrong with the state directory dir for the user that this
// process runs as. It leaves nothing behind: a directory that is missing has no
// problems.
func Inspect(dir string) []Problem {
	return append(inspectAccess(dir), inspectModes(dir)...)
}

// inspectAccess reports what keeps this process from using dir.
func inspectAccess(dir string) []Problem {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return []Problem{{Path: dir, Text: err.Error(), Fix: fixOwner(dir), Err: err}}
	case !info.IsDir():
		err := errors.New("it is a file")
		return []Problem{{Path: dir, Mode: info.Mode().Perm(), Text: err.Error(), Fix: "name a directory", Err: err}}
	}
	var problems []Problem
	// A program once started as another user leaves sub-directories that only that
	// user may write.
	for _, name := range []string{".", ours, "locks", "certificates", "acme", "ocsp"} {
		sub := filepath.Join(dir, name)
		info, err := os.Stat(sub)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		if err == nil {
			err = tryWrite(sub)
		}
		if err != nil {
			p := Problem{Path: sub, Text: err.Error(), Fix: fixFor(dir, sub, err), Err: err}
			if info != nil {
				p.Mode = info.Mode().Perm()
			}
			if full(err) { // what is there can still be served
				p.Text, p.Err = "new keys and certificates cannot be kept: "+p.Text, nil
				return append(problems, p)
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// inspectModes reports everything in dir whose mode is too wide, as after a restore.
// Where that is more than one thing, each has the same Fix, which is for all of them.
// certmagic's files are not secrets, but for the keys among them.
func inspectModes(dir string) []Problem {
	info, err := os.Stat(dir)
	if err != nil || !hasModes() {
		return nil
	}
	var problems []Problem
	if mode := info.Mode().Perm(); mode&0o002 != 0 { // they could replace what is in it; some volumes are made so
		problems = append(problems, Problem{Path: dir, Mode: mode, Text: "every user may write into the state directory", Fix: fixMode(dir, dir, "0700")})
	}
	for _, top := range []string{ours, "certificates", "acme"} {
		_ = filepath.WalkDir(filepath.Join(dir, top), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), temporary) || top != ours && filepath.Ext(name) != ".key" {
				return nil // what cannot be read is an error when it is loaded
			}
			info, err := entry.Info()
			if err != nil {
				return nil
			}
			if p := inspectSecret(dir, name, info.Mode()); p != nil {
				if top != ours { // certmagic reads it all the same
					p.Err = nil
				}
				problems = append(problems, *p)
			}
			return nil
		})
	}
	if len(problems) > 1 {
		for i := range problems {
			problems[i].Fix = fixModes(dir)
		}
	}
	return problems
}

// inspectSecret returns the problem with the mode of a file in the state directory
// dir that holds a secret, or nil.
func inspectSecret(dir, name string, mode fs.FileMode) *Problem {
	p := &Problem{Path: name, Mode: mode.Perm(), Fix: fixMode(dir, name, "0600")}
	switch {
	case !hasModes() || mode.Perm()&0o077 == 0:
		return nil
	case mode.Perm()&0o007 != 0:
		p.Err = fmt.Errorf("mode %04o: %w", mode.Perm(), errExposed)
		p.Text = p.Err.Error()
	default:
		p.Text = fmt.Sprintf("mode %04o: the group may read or change this file", mode.Perm())
	}
	return p
}

// mostNamed bounds how many files one message names: there may be thousands of
// sign-outs.
const mostNamed = 20

// refuseModes returns the error that names all that is wrong with the modes in dir,
// with one command, when something of it is refused. Warnings alone are logged, in one
// line.
func refuseModes(dir string, log zerolog.Logger) error {
	problems := inspectModes(dir)
	if len(problems) == 0 {
		return nil
	}
	refused, named := error(nil), []string{}
	for _, p := range problems {
		if refused == nil {
			refused = p.Err
		}
		if len(named) < mostNamed {
			named = append(named, fmt.Sprintf("%s (mode %04o)", p.Path, p.Mode))
		}
	}
	if more := len(problems) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	fix := problems[0].Fix
	switch {
	case refused == nil && len(problems) == 1:
		log.Warn().Str("path", problems[0].Path).Str("hint", fix).Msg(problems[0].Text)
	case refused == nil:
		log.Warn().Strs("paths", named).Str("hint", fix).Msg("others may read or change these files")
	case len(problems) == 1:
		return &Error{Op: "opening the state directory", Path: problems[0].Path, Err: refused, fix: fix}
	default:
		return &Error{
			Op: "opening the state directory", Path: dir,
			Err: fmt.Errorf("others may read or change %d files: %s", len(problems), strings.Join(named, ", ")), fix: fix,
		}
	}
	return nil
}

func tryWrite(dir string) error {
	file, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Error is an operation that failed, with what the operator can do about it.
type Error struct {
	Op   string // what was being done, such as "storing"
	Path string // the file or directory; "" when Err names it
	Err  error
	fix  string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what the operator can do about it, a command where there is one.
func (e *Error) Hint() string { return e.fix }

// explain wraps err with what was being done to the file or directory called
// name, and with what to do about it where that is known. certmagic turns errors
// into text, so for its keys the hint is a part of the text.
func (f *Files) explain(op, key, name string, err error) error {
	switch fix := fixFor(f.Path, name, err); {
	case fix == "":
		return fmt.Errorf("%s %s: %w", op, name, err)
	case !secret(key):
		return fmt.Errorf("%s %s: %w (hint: %s)", op, name, err, fix)
	default:
		return &Error{Op: op, Path: name, Err: err, fix: fix}
	}
}

// fixFor is what to do about an error with a file below the state directory dir; ""
// when that is not known.
func fixFor(dir, name string, err error) string {
	switch {
	case errors.Is(err, errExposed):
		return fixMode(dir, name, "0600")
	case errors.Is(err, fs.ErrPermission):
		return fixOwner(dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("mount %s writable", Quote(dir))
	case full(err):
		return "make room on the disk that holds " + Quote(dir)
	}
	return ""
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// fixOwner is the command that gives dir, with all in it, to the user of this
// process. In a container it is for the host, whose name for dir is not known here,
// and the image has no commands. A process is the first of its machine only in a
// container.
func fixOwner(dir string) string {
	if os.Getpid() == 1 {
		return fmt.Sprintf("on the host, as root, for the folder that is mounted at %s: chown -R %s FOLDER && chmod -R u+rwX FOLDER", Quote(dir), user())
	}
	return fmt.Sprintf("as root: chown -R %s %s && chmod -R u+rwX %[2]s", user(), Quote(dir))
}

// fixMode is the command that gives name, in the state directory dir, its mode.
func fixMode(dir, name, mode string) string {
	if os.Getpid() == 1 { // see fixOwner
		return fixModes(dir)
	}
	return "chmod " + mode + " " + Quote(name)
}

// fixModes is the command that corrects all modes in dir.
func fixModes(dir string) string {
	if os.Getpid() == 1 { // see fixOwner
		return fmt.Sprintf("on the host, as root, for the folder that is mounted at %s: chmod -R go= FOLDER", Quote(dir))
	}
	return "chmod -R go= " + Quote(dir)
}

func user() string { return fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid()) }

// hasModes reports whether the system has the mode bits of Unix.
func hasModes() bool { return runtime.GOOS != "windows" }

// Quote returns name as a shell takes it for one word.
func Quote(name string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r))
	}
	if name != "" && !strings.ContainsFunc(name, special) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
