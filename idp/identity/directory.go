package identity

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"persona-sidecar/idp/browserid"
)

// Directory is a company's list of people. Implementations are safe for
// concurrent use. An error of either method means only that the directory
// could not answer.
type Directory interface {
	// Authenticate checks a password; a wrong one is the result Refused. The
	// gate is asked between finding the entry and trying the password, with
	// the entry's id: when it reports false, the result is Throttled and the
	// password is not tried. A nil gate admits everyone.
	Authenticate(ctx context.Context, login, password string, gate func(id string) bool) (Result, error)
	// Lookup reads a person again by the immutable id of an earlier result, without
	// a password. The result is OK, or one that ends a session: Gone (a person who is
	// no longer there, which is not an error), NotAllowed, Deactivated, Expired,
	// MustChange or Locked. What is about a new sign-in alone, such as LockedForNow
	// and an expired password, is OK.
	Lookup(ctx context.Context, id string) (Result, error)
}

// ErrUnavailable is wrapped by errors that mean: the directory could not answer.
var ErrUnavailable = errors.New("the directory is unavailable")

// Hint returns what the operator can do about an error of a directory or another
// part, for the log; "" when the error has no hint.
func Hint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// Status is what a directory answers about a person.
type Status int

// The answers of a directory. The zero Status is not an answer, and admits no one.
const (
	// OK: the password was right (Authenticate) or the account is in order (Lookup).
	OK Status = iota + 1
	// Refused: unknown name, wrong password, a name that matches more than one
	// entry, or input that no directory is asked about.
	Refused
	// Gone: no such person any more.
	Gone
	// NotAllowed: the directory's policy refuses this person.
	NotAllowed
	// MustChange: an administrator has set the password; it has to be changed first.
	MustChange
	// PasswordExpired: the password is too old; it has to be changed first.
	PasswordExpired
	// Expired: the account has expired, whatever its password is.
	Expired
	// Deactivated: an administrator has disabled the account.
	Deactivated
	// Locked: the account is locked until an administrator opens it.
	Locked
	// LockedForNow: the account is locked for a while after wrong guesses, which
	// anyone can make. No one signs in, and no session ends.
	LockedForNow
	// NotNow: the account may not sign in at this hour.
	NotNow
	// NotHere: the account may sign in at certain computers only.
	NotHere
	// NotInGroup: the person is not in the group that people have to be in.
	NotInGroup
	// Throttled: the gate refused before the password was tried.
	Throttled
)

// String returns the status as it is written in logs and metrics.
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
	case PasswordExpired:
		return "password_expired"
	case Expired:
		return "expired"
	case Deactivated:
		return "disabled"
	case Locked:
		return "locked"
	case LockedForNow:
		return "locked_for_now"
	case NotNow:
		return "not_now"
	case NotHere:
		return "not_here"
	case NotInGroup:
		return "not_in_group"
	case Throttled:
		return "throttled"
	}
	return "unknown"
}

// Result is the answer of a directory.
type Result struct {
	Status Status
	// Person is complete when Status is OK. Otherwise it holds Directory, and
	// ID where an entry was found.
	Person Person
	// MayTell reports that the person has proven who they are, so that the
	// exact Status may be shown to them. When it is false and Status is not OK,
	// everything must look like a wrong password.
	MayTell bool
	// Notice is for a person who was let in: Status is OK.
	Notice Notice
}

// Notice is what a person who has signed in should know about their password. The
// zero Notice is nothing.
type Notice struct {
	// PasswordExpired reports that the password has expired and was accepted all
	// the same; GraceLeft is how many more times it will be.
	PasswordExpired bool
	GraceLeft       int
	// ExpiresIn is how long the password will still be accepted; zero when the
	// directory did not warn.
	ExpiresIn time.Duration
}

// Person is an entry of a directory.
type Person struct {
	// Directory is the directory's name in the configuration, ID the value of
	// its id attribute. Only together are they unique; a new name or address
	// changes neither.
	Directory, ID string

	Login string
	// Name is the display name; "" when the directory has none.
	Name string
	// Groups are the names of all groups, sorted, those of groups of groups included; empty where the directory was
	// not asked for them.
	Groups []string
	// PasswordChanged is zero when the directory does not tell.
	PasswordChanged time.Time
	// PasswordExpired reports that the entry says that the password has expired,
	// which some directories still accept a few times.
	PasswordExpired bool
	// Addresses lie in the mail domains that the directory is asked for, and
	// belong to no other entry; primary first.
	Addresses []browserid.Address
	// Contested are addresses that the entry has in those domains, and another
	// entry has, too: they belong to no one until an administrator decides.
	Contested []browserid.Address
}

// DisplayName returns how a page addresses the person.
func (p Person) DisplayName() string {
	return cmp.Or(p.Name, p.Login, p.ID)
}

// The longest login and password that a directory is asked about, in bytes.
const (
	MaxLogin    = 256 // the longest address has 254
	maxPassword = 1024
)

// CleanLogin returns a typed name as it is asked for: without spaces around it, no-break spaces and tabs included,
// which keyboards of phones and copied text bring along, and composed (Unicode form NFC), which keyboards of Macs
// leave to the program.
func CleanLogin(typed string) string { return norm.NFC.String(strings.TrimSpace(typed)) }

// ValidLogin reports whether a typed name is worth asking a directory about.
func ValidLogin(s string) bool {
	return s != "" && len(s) <= MaxLogin && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// ValidPassword reports whether a typed password is worth asking a directory about.
func ValidPassword(s string) bool {
	return s != "" && len(s) <= maxPassword && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}
