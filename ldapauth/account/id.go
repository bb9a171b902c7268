package account

import (
	"encoding/hex"
	"fmt"
	"strings"

	"persona-sidecar/ldapauth/schema"

	"github.com/go-ldap/ldap/v3"
)

const (
	// maxID bounds the text form, in bytes; a UUID has 36.
	maxID    = 128
	guidSize = 16 // bytes
)

// UnusableID is the error about an entry that cannot be identified.
type UnusableID struct {
	Attribute string
	Fault     IDFault
}

// IDFault is why an id cannot be used.
type IDFault string

// The faults of ids.
const (
	NoID         IDFault = "is not there, or may not be read"
	SeveralIDs   IDFault = "has more than one value"
	NotPrintable IDFault = "is not printable ASCII without spaces"
	WrongLength  IDFault = "has the wrong length"
)

func (u *UnusableID) Error() string { return "unusable id: " + u.Attribute + " " + string(u.Fault) }

// Hint is what the operator can do about it.
func (u *UnusableID) Hint() string {
	switch u.Fault {
	case NoID:
		return "check id_attribute, and that bind_dn may read it"
	case SeveralIDs:
		return "an attribute with one value for each entry is needed as id_attribute"
	case NotPrintable:
		if strings.EqualFold(u.Attribute, "objectGUID") {
			return "objectGUID wants id_format: guid, or preset: activedirectory"
		}
		return "if " + u.Attribute + " is binary, set id_format to hex, or to guid for one like objectGUID"
	case WrongLength:
		return fmt.Sprintf("id_format guid takes %d bytes, hex up to %d, text up to %d", guidSize, maxID/2, maxID)
	}
	return ""
}

// ID returns the text form of an entry's id, which is what sessions and logs hold. The error is an [UnusableID].
func (r *Reader) ID(e Entry) (string, error) {
	var (
		id     string
		fault  IDFault
		values = e.GetEqualFoldAttributeValues(r.id.Attribute)
	)
	switch {
	case len(values) == 0 || values[0] == "":
		fault = NoID
	case len(values) > 1:
		fault = SeveralIDs
	default:
		id, fault = text(r.id.Format, values[0])
	}
	if fault != "" {
		return "", &UnusableID{Attribute: r.id.Attribute, Fault: fault}
	}
	return id, nil
}

// text returns the text form of a value, or its fault.
func text(format schema.Format, value string) (string, IDFault) {
	switch {
	case format == schema.GUID && len(value) == guidSize:
		b := swapGUID([]byte(value))
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), ""
	case format == schema.Hex && len(value) <= maxID/2:
		return hex.EncodeToString([]byte(value)), ""
	case format != schema.Text || len(value) > maxID:
		return "", WrongLength
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", NotPrintable
	}
	return value, ""
}

// ByID returns the filter that finds the entry of an id in text form; ok is false for a text that is no id here, such as
// that of a session from before id_attribute was changed.
func (r *Reader) ByID(id string) (filter string, ok bool) {
	value, escaped := id, ldap.EscapeFilter(id)
	if r.id.Format != schema.Text {
		b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		if err != nil || r.id.Format == schema.GUID && len(b) != guidSize {
			return "", false
		}
		if r.id.Format == schema.GUID {
			b = swapGUID(b)
		}
		var bytes strings.Builder // RFC 4515 section 3: a backslash and two digits for each byte
		for _, c := range b {
			fmt.Fprintf(&bytes, `\%02x`, c)
		}
		value, escaped = string(b), bytes.String()
	}
	if again, fault := text(r.id.Format, value); value == "" || fault != "" || again != id {
		return "", false
	}
	return "(" + r.id.Attribute + "=" + escaped + ")", true
}

// swapGUID changes between the order of bytes in which Active Directory keeps an objectGUID and that of its text, [MS-DTYP]
// sections 2.3.4.2 and 2.3.4.3: the first three numbers are little-endian.
func swapGUID(b []byte) []byte {
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}
