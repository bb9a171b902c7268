package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// ticketStore is where the keys are in the store, and the name of their lock.
	ticketStore = "persona/tickets.json"
	// ticketRotation is how often a key is made. With the two before it, a session
	// resumes for two days at least.
	ticketRotation = 24 * time.Hour
	ticketKeys     = 3
	// ticketNotice is how long a key is known before tickets are made with it, so that
	// all processes that share the store have read it. They read it every TicketRefresh.
	ticketNotice = 2 * TicketRefresh
)

// TicketRefresh is how often Refresh is to be called.
const TicketRefresh = 10 * time.Minute

// TicketStore is where ticket keys are kept. The error of Load for a missing value is
// fs.ErrNotExist; a lock is held by one process at most.
type TicketStore interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// TicketsConfig is what Tickets need. All fields are required.
type TicketsConfig struct {
	Store TicketStore
	Now   func() time.Time
	Rand  io.Reader
	Log   zerolog.Logger
}

// Tickets keep the keys of TLS session tickets (RFC 8446, section 4.6.1) in a store, so
// that a session resumes after a restart and at every process that shares the store. A
// key is made each day and kept for three. Who has the keys can read recorded TLS 1.2
// sessions that used tickets of these days, and nothing of TLS 1.3.
type Tickets struct {
	cfg TicketsConfig

	mu      sync.Mutex
	current [][32]byte
	configs []*tls.Config
}

// ticketFile is the value in the store.
type ticketFile struct {
	Version int         `json:"version"` // 1
	Keys    []ticketKey `json:"keys"`    // the newest first
}

type ticketKey struct {
	Created time.Time `json:"created"`
	Key     []byte    `json:"key"`
}

// NewTickets returns Tickets without keys. Until Refresh has some, each configuration
// has keys of its own.
func NewTickets(cfg TicketsConfig) *Tickets { return &Tickets{cfg: cfg} }

// Use has a configuration take the keys, now and when they change.
func (t *Tickets) Use(config *tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.configs = append(t.configs, config)
	if t.current != nil {
		config.SetSessionTicketKeys(t.current)
	}
}

// Load reads the keys. It takes no lock, so that it may be a part of the start; Refresh
// follows.
func (t *Tickets) Load(ctx context.Context) error {
	keys, err := t.read(ctx)
	if err != nil {
		return fmt.Errorf("keys of TLS session tickets: %w", err)
	}
	t.apply(keys)
	return nil
}

// Refresh reads the keys, and makes one when the newest is a day old or there is none. A
// value that cannot be read as keys is replaced: clients make full handshakes then.
func (t *Tickets) Refresh(ctx context.Context) error {
	keys, err := t.read(ctx)
	if err == nil && t.due(keys) {
		keys, err = t.rotate(ctx)
	}
	if err != nil {
		return fmt.Errorf("keys of TLS session tickets: %w", err)
	}
	t.apply(keys)
	return nil
}

func (t *Tickets) apply(keys []ticketKey) {
	use := t.inOrder(keys)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(use) == 0 || slices.Equal(use, t.current) {
		return
	}
	t.current = use
	for _, config := range t.configs {
		config.SetSessionTicketKeys(use)
	}
}

// read returns the keys in the store, none when there are none that can be used.
func (t *Tickets) read(ctx context.Context) ([]ticketKey, error) {
	data, err := t.cfg.Store.Load(ctx, ticketStore)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file ticketFile
	err = json.Unmarshal(data, &file)
	short := slices.ContainsFunc(file.Keys, func(k ticketKey) bool { return len(k.Key) != 32 })
	if err != nil || file.Version != 1 || short {
		t.cfg.Log.Warn().AnErr("error", err).Str("key", ticketStore).Msg("the keys of TLS session tickets cannot be read and are made anew")
		return nil, nil
	}
	return file.Keys, nil
}

// due reports whether a key is to be made. One from the future, by a clock that was
// wrong, counts as old.
func (t *Tickets) due(keys []ticketKey) bool {
	if len(keys) == 0 {
		return true
	}
	age := t.cfg.Now().Sub(keys[0].Created)
	return age >= ticketRotation || age < -ticketNotice
}

// rotate makes a key, unless another process has done so meanwhile.
func (t *Tickets) rotate(ctx context.Context) (keys []ticketKey, err error) {
	if err := t.cfg.Store.Lock(ctx, ticketStore); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.cfg.Store.Unlock(context.WithoutCancel(ctx), ticketStore)) }()
	if keys, err = t.read(ctx); err != nil || !t.due(keys) {
		return keys, err
	}
	made := ticketKey{Created: t.cfg.Now().UTC(), Key: make([]byte, 32)}
	if _, err := io.ReadFull(t.cfg.Rand, made.Key); err != nil {
		return nil, err
	}
	keys = slices.Insert(keys, 0, made)
	keys = keys[:min(len(keys), ticketKeys)]
	data, err := json.Marshal(ticketFile{Version: 1, Keys: keys})
	if err != nil {
		return nil, err
	}
	return keys, t.cfg.Store.Store(ctx, ticketStore, data)
}

// inOrder returns the keys as crypto/tls wants them: first the one that new tickets are
// made with. That is not the newest while others may not have read it yet.
func (t *Tickets) inOrder(keys []ticketKey) [][32]byte {
	use := make([][32]byte, len(keys))
	for i, k := range keys {
		use[i] = [32]byte(k.Key)
	}
	if len(use) > 1 && t.cfg.Now().Sub(keys[0].Created) < ticketNotice {
		use[0], use[1] = use[1], use[0]
	}
	return use
}
