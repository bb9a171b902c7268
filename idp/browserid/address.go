package browserid

import (
	"fmt"
	"strings"

	"persona-sidecar/idp/browserid/strictjson"
)

// Address is an e-mail address: ASCII, its domain in lower case. [ParseAddress]
// puts it all into lower case; only the local part of a certificate's address
// may have capitals, as its issuer signed it. Addresses are comparable, by their
// exact bytes; the zero Address is none.
type Address struct {
	text string // local@domain
	at   int    // where the @ stands
}

const (
	longestAddress = 254
	longestLocal   = 64
)

// ParseAddress reads an e-mail address and folds A-Z to lower case. It is the
// one grammar of the program: anchored, ASCII, one @, a local part of at most
// 64 of the characters that the historic verifiers accepted (letters, digits,
// and !#$%&'*+/=?^_`{|}~.-), a domain that is a DNS name without a final dot,
// at most 254 in all. Quoted local parts, comments, control characters, spaces,
// IP addresses and ports are errors.
func ParseAddress(s string) (Address, error) {
	if len(s) > longestAddress {
		return Address{}, fmt.Errorf("e-mail address %s is longer than %d", strictjson.Quote(s), longestAddress)
	}
	folded := foldASCII(s)
	local, domain, ok := strings.Cut(folded, "@")
	if !ok {
		return Address{}, fmt.Errorf("e-mail address %s has no @", strictjson.Quote(s))
	}
	if err := checkLocal(local); err != nil {
		return Address{}, fmt.Errorf("e-mail address %s: %w", strictjson.Quote(s), err)
	}
	if err := checkHostName(domain, false); err != nil {
		return Address{}, fmt.Errorf("e-mail address %s: %w", strictjson.Quote(s), err)
	}
	return Address{folded, len(local)}, nil
}

func checkLocal(local string) error {
	if local == "" || len(local) > longestLocal {
		return fmt.Errorf("the part before the @ must have 1 to %d characters", longestLocal)
	}
	for i := range len(local) {
		c := local[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+/=?^_`{|}~.-", c) < 0 {
			return fmt.Errorf("the part before the @ has the character %s", strictjson.Quote(local[i:i+1]))
		}
	}
	return nil
}

// parseSignedAddress reads the address that an issuer signed and leaves its
// local part as it is: folding it would make one address of what may be two to
// that issuer. A domain that is not in lower case is [ErrCapitals].
func parseSignedAddress(s string) (Address, error) {
	email, err := ParseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrEmail, err)
	}
	if s[email.at:] != email.text[email.at:] {
		return Address{}, fmt.Errorf("%w: in the domain of %s", ErrCapitals, strictjson.Quote(s))
	}
	return Address{s, email.at}, nil
}

// HasCapitals reports whether the address is not all lower case. It is false for
// what [ParseAddress] returned.
func (a Address) HasCapitals() bool { return a.text != foldASCII(a.text) }

// String returns local@domain, or "" for none.
func (a Address) String() string { return a.text }

// Local returns the part before the @.
func (a Address) Local() string { return a.text[:a.at] }

// Domain returns the part after the @.
func (a Address) Domain() string {
	_, domain, _ := strings.Cut(a.text, "@")
	return domain
}
