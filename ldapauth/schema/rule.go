package schema

import (
	"fmt"
	"slices"
)

// Rule says what one attribute of an entry means for its account: Then holds when the condition does.
// Exactly one condition is given. An entry without the attribute meets none.
type Rule struct {
	Attribute string `yaml:"attribute"`

	Is      string     `yaml:"is"`      // a value is this text, case ignored
	Bits    uint32     `yaml:"bits"`    // a number with all of these bits
	Letter  string     `yaml:"letter"`  // a text with this letter, such as the D of sambaAcctFlags
	Past    TimeFormat `yaml:"past"`    // a time that has come
	Future  TimeFormat `yaml:"future"`  // a time that has not come yet
	Present bool       `yaml:"present"` // there is a value

	// Always says that every person's entry has the attribute: one that does not show it hides it.
	Always bool `yaml:"always"`

	Then State `yaml:"then"`
}

// TimeFormat is how an attribute writes a time.
type TimeFormat string

// The formats of times.
const (
	Generalized TimeFormat = "generalized" // 20261125180000Z, RFC 4517 section 3.3.13
	FileTime    TimeFormat = "filetime"    // tenths of microseconds since 1601; 0 and 2^63-1 are never
	Days        TimeFormat = "days"        // since 1970; negative is never
)

// State is what a rule says about an account.
type State string

// The states of accounts.
const (
	Disabled        State = "disabled"         // by an administrator
	Expired         State = "expired"          // the account, not its password
	PasswordExpired State = "password_expired" // the password has to be changed because of its age
	MustChange      State = "must_change"      // the password has to be changed because an administrator set it
	Locked          State = "locked"           // by an administrator, until they open it
	LockedForNow    State = "locked_for_now"   // by wrong guesses: no new sign-in, and no session ends
)

func (r Rule) validate() error {
	given := 0
	for _, is := range []bool{r.Is != "", r.Bits != 0, r.Letter != "", r.Past != "", r.Future != "", r.Present} {
		if is {
			given++
		}
	}
	times := []TimeFormat{"", Generalized, FileTime, Days}
	switch {
	case !attributeName.MatchString(r.Attribute):
		return fmt.Errorf("account: %q is not an attribute name", r.Attribute)
	case given != 1:
		return fmt.Errorf("account: the rule about %s has %d conditions", r.Attribute, given)
	case !slices.Contains(times, r.Past), !slices.Contains(times, r.Future):
		return fmt.Errorf("account: the rule about %s has an unknown format of time", r.Attribute)
	case !slices.Contains([]State{Disabled, Expired, PasswordExpired, MustChange, Locked, LockedForNow}, r.Then):
		return fmt.Errorf("account: the rule about %s has the unknown state %q", r.Attribute, r.Then)
	}
	return nil
}
