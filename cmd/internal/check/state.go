package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/keys"
)

// ownKeys is the key ring as it lies in the state directory.
type ownKeys struct {
	store    *store.Files // nil: cannot be opened
	ring     *keys.Ring   // nil: cannot be read
	warnings messages     // of the store, since they were last told
}

// stateSteps look at what the program keeps.
func (c *Checker) stateSteps() []Step {
	return []Step{
		{Name: "state directory", Run: c.checkState},
		{Name: "keys", Run: c.checkKeys},
	}
}

func (c *Checker) checkState(context.Context) Finding {
	folder := c.Config.StateDir
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist): // opening would make it, owned by whoever checks
		return skipped("%s is not there yet; the first start makes it", folder)
	case err != nil:
		return failed("run the check as the user that runs persona, or as root", "%v", err)
	}
	owner, another := ownerOf(info)
	files, err := store.OpenFiles(folder, zerolog.New(&c.keys.warnings))
	if errors.Is(err, fs.ErrPermission) && another { // the store's cure would give it to the wrong user
		return failed(fmt.Sprintf("run the check as that user, or as root; if %d is not the user that runs persona, as root: chown -R it to that one", owner),
			"%s belongs to the user %d, and the user %d may not write there", folder, owner, os.Geteuid())
	}
	if err != nil {
		return failure("", err, "see that the user that runs persona may write there")
	}
	c.keys.store = files
	if seen := c.keys.warnings.take(); len(seen) > 0 {
		text, cure := cutHint(strings.Join(seen, "; "))
		return warned(cure, "%s: %s", folder, text)
	}
	if another && os.Geteuid() == 0 { // who may write everywhere
		return passed("%s, mode %04o, belongs to the user %d", folder, info.Mode().Perm(), owner)
	}
	return passed("%s, mode %04o, writable", folder, info.Mode().Perm())
}

func (c *Checker) checkKeys(ctx context.Context) Finding {
	if c.keys.store == nil {
		return skipped("the state directory cannot be looked into")
	}
	ring := keys.New(keys.Config{Store: c.keys.store, Now: c.Now, Rand: c.Rand, Log: zerolog.Nop()})
	if err := ring.Load(ctx); err != nil {
		return failure("reading the keys", err, "restore the file that is named from a backup")
	}
	c.keys.ring = ring
	var f faults
	for _, warning := range c.keys.warnings.take() {
		text, cure := cutHint(warning)
		f.warn(cure, "%s", text)
	}
	count := 0 // of identity hosts
	for _, host := range c.hosts {
		if host.Role != config.RoleIdentity {
			continue
		}
		count++
		if _, err := ring.Published(host.Name); err != nil {
			f.fail("start the program: it makes what is missing. When it runs, its log says why it could not", "%s has no key yet", host.Name)
		}
	}
	if count == 0 && len(f.messages) == 0 {
		return skipped("no host signs anything")
	}
	return f.finding("readable, one for each identity host (%d)", count)
}

// messages collects what is logged as a warning or worse.
type messages struct {
	mu   sync.Mutex
	text []string
}

func (m *messages) Write(line []byte) (int, error) {
	var record struct{ Level, Message, Error, File, Mode string }
	if err := json.Unmarshal(line, &record); err != nil {
		return 0, fmt.Errorf("reading a log line: %w", err)
	}
	if record.Level == zerolog.LevelWarnValue || record.Level == zerolog.LevelErrorValue {
		m.mu.Lock()
		m.text = append(m.text, strings.TrimSpace(strings.Join([]string{record.File, record.Message, record.Error}, " ")))
		m.mu.Unlock()
	}
	return len(line), nil
}

// take returns what was collected, and forgets it.
func (m *messages) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := m.text
	m.text = nil
	return text
}

// cutHint parts "what (hint: what to do)".
func cutHint(text string) (seen, hint string) {
	const mark = " (hint: "
	at := strings.LastIndex(text, mark)
	if at < 0 || !strings.HasSuffix(text, ")") {
		return text, ""
	}
	return text[:at], strings.TrimSuffix(text[at+len(mark):], ")")
}
