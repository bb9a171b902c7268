package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/keys"
)

// ownKeys is the key ring in the state directory.
type ownKeys struct {
	store *store.Files // nil: cannot be opened
	ring  *keys.Ring   // nil: cannot be read
}

// stateSteps check what the program keeps.
func (c *Checker) stateSteps() []report.Step {
	return []report.Step{
		{Name: "state directory", Run: c.checkState},
		{Name: "keys", Run: c.checkKeys},
	}
}

func (c *Checker) checkState(context.Context) report.Finding {
	folder := c.Config.StateDir
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist): // opening would make it, owned by the user who checks
		return report.Skip("%s is not there yet; the first start makes it", folder)
	case err != nil:
		return report.Fail("run the check as the user that runs persona, or as root", "%v", err)
	}
	owner, another := ownerOf(info)
	files, err := store.OpenFiles(folder, c.Now, zerolog.Nop())
	if errors.Is(err, fs.ErrPermission) && another { // the store's cure would give it to the wrong user
		return report.Fail(fmt.Sprintf("run the check as that user, or as root; if %d is not the user that runs persona, as root: chown -R it to that one", owner),
			"%s belongs to the user %d, and the user %d may not write there", folder, owner, os.Geteuid())
	}
	if err != nil {
		return report.Error("", err, "see that the user that runs persona may write there")
	}
	c.keys.store = files
	var f report.Faults
	for _, p := range store.Inspect(folder) {
		if p.Err != nil {
			f.Fail(p.Fix, "%s: %s", p.Path, p.Text)
		} else {
			f.Warn(p.Fix, "%s: %s", p.Path, p.Text)
		}
	}
	if !f.None() {
		return f.Finding("")
	}
	if another && os.Geteuid() == 0 { // who may write everywhere
		return report.Pass("%s, mode %04o, belongs to the user %d", folder, info.Mode().Perm(), owner)
	}
	return report.Pass("%s, mode %04o, writable", folder, info.Mode().Perm())
}

func (c *Checker) checkKeys(ctx context.Context) report.Finding {
	if c.keys.store == nil {
		return report.Skip("the state directory cannot be looked into")
	}
	ring := keys.New(keys.Config{Store: c.keys.store, Now: c.Now, Rand: c.Rand, Log: zerolog.Nop()})
	if err := ring.Load(ctx); err != nil {
		return report.Error("reading the keys", err, "restore the file that is named from a backup")
	}
	c.keys.ring = ring
	var f report.Faults
	count := 0 // of identity hosts
	for _, host := range c.hosts {
		if host.Role != config.RoleIdentity {
			continue
		}
		count++
		if _, err := ring.Published(host.Name, keys.UseCertificates); err != nil {
			f.Fail("start the program: it makes what is missing. When it runs, its log says why it could not", "%s has no key yet", host.Name)
		}
	}
	if count == 0 && f.None() {
		return report.Skip("no host signs anything")
	}
	return f.Finding("readable, one for each identity host (%d)", count)
}

// publishedKeys returns the domain keys of a host, the current one first.
func publishedKeys(ring *keys.Ring, host string) ([]*browserid.PublicKey, error) {
	published, err := ring.Published(host, keys.UseCertificates)
	if err != nil {
		return nil, err
	}
	own := make([]*browserid.PublicKey, len(published))
	for i, public := range published {
		if own[i], err = browserid.NewPublicKey(public.Key); err != nil {
			return nil, fmt.Errorf("the key %s: %w", public.KID, err)
		}
	}
	return own, nil
}
