package idp

import (
	"context"
	"time"
)

// Directory is the company's list of people. Implementations are safe for
// concurrent use.
type Directory interface {
	// Authenticate checks a password. An error means only that the directory
	// could not answer; a wrong password is the result Refused.
	Authenticate(ctx context.Context, login, password string) (Result, error)
	// Lookup reads a person again by the immutable id of an earlier result.
	// Somebody who is no longer there is the result Gone, not an error.
	Lookup(ctx context.Context, id string) (Result, error)
}

// Status says what a directory answered about a person.
type Status int

// The answers of a directory. The zero Status is none of them and admits nobody.
const (
	// OK: the password was right (Authenticate) or the account is in order (Lookup).
	OK Status = iota + 1
	// Refused: unknown name or wrong password.
	Refused
	// Gone: no such person any more.
	Gone
	// NotAllowed: a real account that may not sign in here.
	NotAllowed
	// MustChange: the password has to be changed first.
	MustChange
	// Expired: the account or its password has expired.
	Expired
	// Locked: the account is locked or disabled.
	Locked
	// Throttled: too many failures; the directory was not asked for a bind.
	Throttled
)

// String gives the status as it is written in logs.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Refused:
		return "refused"
	case Gone:
		return "gone"
	case NotAllowed:
		return "not_allowed"
	case MustChange:
		return "must_change"
	case Expired:
		return "expired"
	case Locked:
		return "locked"
	case Throttled:
		return "throttled"
	}
	return "unknown"
}

// Result is the answer of a directory.
type Result struct {
	Status Status
	// Person is complete when Status is OK. Its ID is set also when a known
	// entry was refused.
	Person Person
	// MayTell says that the person has proven to be who they claim, so that
	// the exact Status is no secret from them.
	MayTell bool
}

// Person is an entry of a directory, as far as identity needs it.
type Person struct {
	// Directory and ID name the person; they are unique only together, and
	// neither changes with a new name or address.
	Directory, ID string

	Login                              string
	DisplayName, GivenName, FamilyName string
	Groups                             []string
	// PasswordChanged is zero when the directory does not tell.
	PasswordChanged time.Time
	// Addresses are canonical (lower case), lie in the mail domains that the
	// identity host signs for, and belong to no other entry; primary first.
	Addresses []string
}
