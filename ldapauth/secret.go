package ldapauth

import "fmt"

// Secret is a password that no format verb, logger or encoder prints.
type Secret string

const hidden = "[hidden]"

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText hides the secret from encoding/json and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
