package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"persona-sidecar/cmd/internal/config"
)

// passwordBeside returns the file, next to the configuration, that a typed bind
// password is written to. deploy/persona.service reads it there too.
func passwordBeside(out string) string { return filepath.Join(filepath.Dir(out), "ldap_password") }

// documentIn returns where a website that is served from a folder has the document
// that names its authority.
func documentIn(docroot string) string { return filepath.Join(docroot, ".well-known", "browserid") }

// exists reports whether a path is taken, even by a link that leads nowhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// absent returns why there is no file at a path; "" if there is one.
func absent(path string) string {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("the file %s does not exist (create it, or correct the path)", path)
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return path + " is not a file (give the path of a file)"
	}
	return ""
}

func refuseExisting(path string) error {
	return refuse(path+" exists already, and setup overwrites nothing", "write elsewhere with -out, or move the file away")
}

func refusePassword(path string) error {
	return refuse(path+" exists already, and setup overwrites nothing", "use it with -bind-password-file, or move the file away")
}

// write writes the files and returns the configuration that serve will load from
// them. If it has a fault, or a file cannot be written, none is left.
func (a *answers) write(text []byte) (*config.Config, error) {
	out, passwordFile := a.text("out"), a.text("bind-password-file")
	if exists(out) {
		return nil, refuseExisting(out)
	}
	var w writer
	err := w.folder(filepath.Dir(out))
	if err == nil && !a.password.Empty() {
		if exists(passwordFile) {
			return nil, errors.Join(w.undo(), refusePassword(passwordFile))
		}
		err = w.file(passwordFile, []byte(a.password.Reveal()+"\n"), 0o600)
	}
	if err == nil {
		err = w.file(out, text, 0o640)
	}
	if err == nil && a.publishes() {
		err = w.document(documentIn(a.text("docroot")), a.document())
	}
	if err != nil {
		return nil, errors.Join(&writeError{err}, w.undo())
	}
	c, err := config.Load(out, nil)
	if err == nil {
		return c, nil
	}
	if faults := (config.Faults{}); errors.As(err, &faults) {
		err = a.refuseFaults(faults)
	}
	return nil, errors.Join(err, w.undo())
}

// document writes the document of a website, and what makes Apache serve it as
// JSON unless the folder has such a file.
func (w *writer) document(path, text string) error {
	if err := w.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := w.file(path, []byte(text), 0o644); err != nil {
		return err
	}
	htaccess := filepath.Join(filepath.Dir(path), ".htaccess")
	if exists(htaccess) {
		return nil
	}
	return w.file(htaccess, []byte("<Files \"browserid\">\n    ForceType application/json\n</Files>\n"), 0o644)
}

// writer creates files and folders and remembers them.
type writer struct{ created []string }

// folder makes a folder, and those above it, unless they exist.
func (w *writer) folder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := w.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	w.created = append(w.created, path)
	return nil
}

// file writes a file that does not exist yet.
func (w *writer) file(path string, data []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	w.created = append(w.created, path)
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// undo removes what was created, the latest first.
func (w *writer) undo() error {
	var errs []error
	for _, path := range slices.Backward(w.created) {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
