package identity

import (
	"context"
	"errors"
	"fmt"
)

// PasswordChanger is a Directory in which people can change their password.
type PasswordChanger interface {
	// ChangePassword checks the old password as Authenticate does, gate included, and has the directory take the new one
	// for that. An error means that the directory could not answer, and that nothing was changed.
	ChangePassword(ctx context.Context, login, old, changed string, gate func(id string) bool) (PasswordChange, error)
}

// PasswordChange is the answer to the change of a password.
type PasswordChange struct {
	// Result is about the old password, as that of Authenticate; MustChange and PasswordExpired do not keep anyone from a
	// change. After a change it is about the person as they are then: with Status 0 where that could not be read.
	Result
	Outcome Outcome
	// Words are the directory's own about a new password that it refused, "" for none. They come from outside, and name
	// neither password.
	Words string
}

// Outcome is what became of a new password.
type Outcome string

// What becomes of a new password.
const (
	NotTried    Outcome = ""                     // the old one was not right, or that is not all it takes
	Changed     Outcome = "changed"              // it counts from now on
	Rejected    Outcome = "password_rejected"    // it does not keep the rules: too short, too simple, used before
	Unwilling   Outcome = "password_unwilling"   // the directory does not change it, now or ever
	Forbidden   Outcome = "password_forbidden"   // this person may not change it
	Unsupported Outcome = "password_unsupported" // the directory does not know how
	Unknown     Outcome = "password_unknown"     // it was sent, and no answer came
)

// ChangePassword has the directory of a host with a PasswordChanger change a password. Addresses outside the host's domains
// are dropped. Every error wraps ErrUnavailable.
func (h *Host) ChangePassword(ctx context.Context, login, old, changed string, gate func(id string) bool) (PasswordChange, error) {
	if h.PasswordChanger == nil {
		return PasswordChange{}, errors.New("the host changes no passwords")
	}
	change, err := h.PasswordChanger.ChangePassword(ctx, login, old, changed, gate)
	if err == nil && change.Status == OK {
		err = h.admit(&change.Person, "")
	}
	if err != nil {
		return change, fmt.Errorf("%w: changing a password in the directory %s: %w", ErrUnavailable, h.DirectoryName, err)
	}
	return change, nil
}
