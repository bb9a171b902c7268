package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"persona-sidecar/cmd/internal/config"
)

// passwordFile is the name of the file, next to the configuration, that a typed
// bind password is written to. deploy/persona.service reads it there too.
const passwordFile = "ldap_password"

// write writes the files, after the text was found to be a configuration without
// a fault, and returns that configuration. Either all are written or none.
func (a *answers) write(text []byte, o *owner) (*config.Config, error) {
	if err := a.checkFree(); err != nil {
		return nil, err
	}
	c, err := a.try(text)
	if err != nil {
		return nil, err
	}
	if err := o.check(a); err != nil {
		return nil, err
	}
	w := &writer{owner: o}
	if err := w.all(a, text); err != nil {
		w.undo()
		return nil, err
	}
	return c, nil
}

// checkFree refuses to write where something is.
func (a *answers) checkFree() error {
	if _, err := os.Lstat(a.Out); err == nil {
		return exists(a.Out)
	}
	if a.password.Empty() {
		return nil
	}
	return checkNoPassword(a.BindPasswordFile)
}

func checkNoPassword(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return wrong(path+" exists already, and setup overwrites nothing", "use it with -bind-password-file, or move the file away")
	}
	return nil
}

func exists(path string) error {
	return wrong(path+" exists already, and setup overwrites nothing", "write elsewhere with -out, or move the file away")
}

func cannotWrite(err error) error {
	return &failure{problem: "writing the configuration", cause: err, hint: "write elsewhere with -out, or run setup as a user who may write there", code: exitWorld}
}

// stateDir returns the folder for keys and certificates.
func (a *answers) stateDir() string {
	if a.StateDir == "" {
		return defaultStateDir
	}
	return a.StateDir
}

// writer creates files and folders for their owner (nil: whoever runs setup),
// and remembers them.
type writer struct {
	owner   *owner
	created []string
}

// all writes the configuration last: where it is, everything is.
func (w *writer) all(a *answers, text []byte) error {
	if err := w.folder(filepath.Dir(a.Out), 0o755); err != nil {
		return cannotWrite(err)
	}
	if w.owner != nil {
		if err := w.stateDir(a.stateDir()); err != nil {
			return &failure{problem: "making the state directory", cause: err, hint: "name another with -state-dir", code: exitWorld}
		}
	}
	if !a.password.Empty() {
		if err := w.file(a.BindPasswordFile, []byte(a.password.Reveal()+"\n"), 0o600); err != nil {
			return cannotWrite(err)
		}
	}
	err := w.file(a.Out, text, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return exists(a.Out)
	}
	if err != nil {
		return cannotWrite(err)
	}
	return nil
}

// undo removes what was created, the latest first.
func (w *writer) undo() {
	for _, path := range slices.Backward(w.created) {
		_ = os.Remove(path) // a folder only while it is empty
	}
}

// folder makes a folder that is not there. With an owner it is for the owner
// alone; folders above it are for everybody.
func (w *writer) folder(path string, mode fs.FileMode) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := w.parents(filepath.Dir(path)); err != nil {
		return err
	}
	if w.owner != nil {
		mode = 0o700
	}
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	w.created = append(w.created, path)
	return w.giveFolder(path)
}

func (w *writer) parents(path string) error {
	for _, folder := range ancestors(path) {
		if err := os.Mkdir(folder, 0o755); err == nil {
			w.created = append(w.created, folder)
		} else if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, os.ErrInvalid) {
			return err
		}
	}
	return nil
}

// stateDir makes the state directory, or gives an empty one to its owner.
func (w *writer) stateDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return w.folder(path, 0o700)
	}
	if uid, _ := ownerOf(info); uid == w.owner.uid {
		return nil
	}
	return w.giveFolder(path)
}

// giveFolder gives an empty folder to the owner alone. It looks at the folder
// and gives it away by one handle, and follows no link: whoever can write where
// the folder lies could put another one in its place meanwhile.
func (w *writer) giveFolder(path string) error {
	if w.owner == nil {
		return nil
	}
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	if _, err := folder.Readdirnames(1); !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("%s is not empty any more", path), err)
	}
	if err := folder.Chmod(0o700); err != nil {
		return err
	}
	return folder.Chown(w.owner.uid, w.owner.gid)
}

// file writes a file that is not there. With an owner it is for the owner alone.
func (w *writer) file(path string, data []byte, mode fs.FileMode) error {
	if w.owner != nil {
		mode = 0o600
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	w.created = append(w.created, path)
	_, err = file.Write(data)
	if err == nil && w.owner != nil {
		err = file.Chown(w.owner.uid, w.owner.gid)
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// try loads the text as serve would, and puts faults into the words of the
// flags.
func (a *answers) try(text []byte) (*config.Config, error) {
	c, faults, err := a.load(text)
	if err != nil || len(faults) == 0 {
		return c, err
	}
	lines := make([]string, len(faults))
	for i, fault := range faults {
		name := a.flagOf(fault.Key)
		if name == "" {
			name = fault.Key
		}
		lines[i] = fmt.Sprintf("-%s: %s (%s)", name, fault.Problem, fault.Cure)
	}
	return nil, &failure{
		problem: "setup found " + counted(len(lines), "fault"), hint: "mend the flags that are listed; nothing was written",
		detail: strings.Join(lines, "\n"), code: exitUsage,
	}
}

// load loads the text from a folder of its own. The password that was typed is
// not where the text says yet, so it is put where the loader looks.
func (a *answers) load(text []byte) (*config.Config, config.Faults, error) {
	folder, err := os.MkdirTemp("", "persona-setup-")
	if err != nil {
		return nil, nil, fmt.Errorf("checking the configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if !a.password.Empty() {
		b := *a
		b.BindPasswordFile = filepath.Join(folder, passwordFile)
		if text, err = b.render(); err != nil {
			return nil, nil, fmt.Errorf("checking the configuration: %w", err)
		}
		// Any text will do: the password itself stays in memory until all is well.
		if err := os.WriteFile(b.BindPasswordFile, []byte("x"), 0o600); err != nil {
			return nil, nil, fmt.Errorf("checking the configuration: %w", err)
		}
	}
	path := filepath.Join(folder, "persona.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, nil, fmt.Errorf("checking the configuration: %w", err)
	}
	c, err := config.Load(path, nil)
	var faults config.Faults
	if errors.As(err, &faults) {
		return nil, faults, nil
	}
	return c, nil, err
}
