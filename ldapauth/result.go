package ldapauth

import "time"

// Status is what the directory says about a person.
type Status int

const (
	// Refused is the zero value: unknown name, wrong password, a name that
	// matches more than one entry, or input that no directory is asked about.
	Refused Status = iota
	// OK lets the person in.
	OK
	// Gone means that no entry with this id is left among the people.
	Gone
	// NotAllowed means that the directory's policy refuses this person.
	NotAllowed
	// MustChange means that the password was set by an administrator and must
	// be changed before anything else.
	MustChange
	// Expired means that the password, or the account itself, has run out.
	Expired
	// Locked means that the account is locked or switched off.
	Locked
	// Throttled means that Config.Gate refused before the password was tried.
	Throttled
)

// String returns the status as a lower-case word for logs.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Refused:
		return "refused"
	case Gone:
		return "gone"
	case NotAllowed:
		return "not allowed"
	case MustChange:
		return "must change"
	case Expired:
		return "expired"
	case Locked:
		return "locked"
	case Throttled:
		return "throttled"
	}
	return "unknown"
}

// Result is the directory's answer.
type Result struct {
	Status Status
	// Person is complete when Status is OK. Otherwise it holds Directory, and
	// ID where an entry was found, so that failures can be counted by entry.
	Person Person
	// MayTell says that the person has proven who they are, so the exact Status
	// may be shown. When false and Status is not OK, everything must look like
	// a wrong password.
	MayTell bool
}

// Person is one entry of the directory.
type Person struct {
	Directory string // Config.Name; unique only together with ID
	ID        string // value of the id attribute: never reused, survives a rename
	Login     string // first value of the first login attribute
	// DisplayName falls back to the common name, then to Login.
	DisplayName, GivenName, FamilyName string
	Groups                             []string  // DNs as the directory spells them, direct memberships
	PasswordChanged                    time.Time // zero when the directory does not say
	// Addresses are canonical (lower-case ASCII, domain in A-labels), in
	// Config.Domains, held by no other entry; the primary address comes first.
	Addresses []string
}
