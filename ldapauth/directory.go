package ldapauth

import (
	"context"
	"errors"
)

// Directory is one company directory on one or several servers. It is safe for
// concurrent use.
type Directory struct {
	cfg Config
}

// New checks the configuration and returns a Directory. It does no I/O: a
// directory that is down is found when it is asked. The error lists every
// fault, one a line.
func New(cfg Config) (*Directory, error) {
	return &Directory{cfg: cfg}, nil
}

// Authenticate checks a password. login is what the person typed.
//
// An error means only that the directory could not answer; the Result then
// still holds Person.ID if the entry was found before things went wrong, so
// that a counted attempt can be given back.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Lookup reads a person again by id: their state, names and addresses as they
// are now. An entry that is no longer there, or no longer among the people, is
// Gone. An error means only that the directory could not answer.
func (d *Directory) Lookup(ctx context.Context, id string) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Ping asks whether the directory answers the service account and holds the
// base DN. The error says what to do.
func (d *Directory) Ping(ctx context.Context) error {
	return errors.ErrUnsupported
}

// Close closes all connections. Calls in flight end with an error.
func (d *Directory) Close() error { return nil }
