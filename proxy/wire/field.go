package wire

import "strings"

// Field is one line of a head or of a trailer section.
type Field struct {
	Name  string // as the sender spelled it
	Value string // without the white space around it
}

// Fields are the lines of a head or of a trailer section, in their order.
type Fields []Field

// Is reports whether the field has a name. Names are compared without case
// (RFC 9110, section 5.1).
func (f Field) Is(name string) bool {
	return len(f.Name) == len(name) && strings.EqualFold(f.Name, name)
}

// Get returns the value of the first field with a name, "" when there is none.
func (fs Fields) Get(name string) string {
	for _, f := range fs {
		if f.Is(name) {
			return f.Value
		}
	}
	return ""
}

// Has reports whether there is a field with a name.
func (fs Fields) Has(name string) bool {
	for _, f := range fs {
		if f.Is(name) {
			return true
		}
	}
	return false
}
