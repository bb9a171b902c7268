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
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/keys"
)

// ownKeys is the key ring as it lies in the state directory.
type ownKeys struct {
	store    *store.Files // nil: cannot be opened
	ring     *keys.Ring   // nil: cannot be read
	warnings messages     // of the store, since they were last told
}

// stateSteps look at what the program keeps.
func (e *Examiner) stateSteps() []Step {
	return []Step{
		{Name: "state directory", Look: e.lookAtState},
		{Name: "keys", Look: e.lookAtKeys},
	}
}

func (e *Examiner) lookAtState(context.Context) Finding {
	folder := e.Config.StateDir
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist): // opening would make it, owned by whoever checks
		return skipped("%s is not there yet; the first start makes it", folder)
	case err != nil:
		return failed("run the check as the user that runs persona, or as root", "%v", err)
	}
	owner, another := ownerOf(info)
	files, err := store.OpenFiles(folder, zerolog.New(&e.keys.warnings))
	if errors.Is(err, fs.ErrPermission) && another { // the store's cure would give it to the wrong user
		return failed(fmt.Sprintf("run the check as that user, or as root; if %d is not the user that runs persona, as root: chown -R it to that one", owner),
			"%s belongs to the user %d, and the user %d may not write there", folder, owner, os.Geteuid())
	}
	if err != nil {
		return failure(err, "see that the user that runs persona may write there")
	}
	e.keys.store = files
	if seen := e.keys.warnings.take(); len(seen) > 0 {
		text, cure := cutHint(strings.Join(seen, "; "))
		return warned(cure, "%s: %s", folder, text)
	}
	if another && os.Geteuid() == 0 { // who may write everywhere
		return passed("%s, mode %04o, belongs to the user %d", folder, info.Mode().Perm(), owner)
	}
	return passed("%s, mode %04o, writable", folder, info.Mode().Perm())
}

func (e *Examiner) lookAtKeys(ctx context.Context) Finding {
	if e.keys.store == nil {
		return skipped("the state directory cannot be looked into")
	}
	ring := keys.New(keys.Config{Store: e.keys.store, Now: e.Now, Rand: e.Rand, Log: zerolog.Nop()})
	if err := ring.Load(ctx); err != nil {
		return failure(fmt.Errorf("reading the keys: %w", err), "restore the file that is named from a backup")
	}
	e.keys.ring = ring
	var f faults
	for _, warning := range e.keys.warnings.take() {
		text, cure := cutHint(warning)
		f.warn(cure, "%s", text)
	}
	count := 0 // of identity hosts
	for _, host := range e.hosts {
		if host.Role != config.RoleIdentity {
			continue
		}
		count++
		if _, err := ring.Published(host.Name); err != nil {
			f.fail("start the program: it makes what is missing. When it runs, its log says why it could not", "%s has no key yet", host.Name)
		}
	}
	if count == 0 && len(f.seen) == 0 {
		return skipped("no host signs anything")
	}
	return f.finding("readable, one for each identity host (%d)", count)
}

// lookAtPublishedKey compares what the world reads with what signs.
func (s *site) lookAtPublishedKey(context.Context) Finding {
	support, ok := s.published.document.(browserid.Support)
	switch {
	case !ok:
		return skipped("there is no support document")
	case s.keys.ring == nil:
		return skipped("the keys of the state directory cannot be read from here")
	}
	own, err := s.keys.ring.Published(s.name)
	if err != nil {
		return failed("another program answers there, or one with another state_dir", "a key is published, and the state directory holds none for %s", s.name)
	}
	if !support.PublicKey.Equal(own[0]) {
		return failed("another program answers there, or one with another state_dir: certificates signed with this key would be refused as \"invalid signature\"",
			"published is %s, and the key that signs is %s", short(support.PublicKey.Fingerprint()), short(own[0].Fingerprint()))
	}
	return passed("it is the one that signs")
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
