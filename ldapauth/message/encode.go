package message

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Tags of BER (X.690 section 8.1.2) as LDAP uses them.
const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagEnumerated  = 0x0a
	tagSequence    = 0x30
	tagSet         = 0x31

	context0            = 0x80 // + n: [n], primitive
	context0Constructed = 0xa0 // + n: [n], constructed

	opBind     = 0x60
	opSearch   = 0x63
	opExtended = 0x77
)

// AppendBind appends a simple bind (RFC 4511 section 4.2) that asks for the password policy control.
func AppendBind(b []byte, id int32, dn, password string) []byte {
	b, message := begin(b, tagSequence)
	b = appendInteger(b, tagInteger, int64(id))
	b, op := begin(b, opBind)
	b = appendInteger(b, tagInteger, 3) // the version of LDAP
	b = appendString(b, tagOctetString, dn)
	b = appendString(b, context0, password)
	b = end(b, op)
	b, controls := begin(b, context0Constructed)
	b, control := begin(b, tagSequence)
	b = appendString(b, tagOctetString, ldap.ControlTypeBeheraPasswordPolicy)
	b = end(end(b, control), controls)
	return end(b, message)
}

// AppendExtended appends an extended request (RFC 4511 section 4.12); a nil value is none.
func AppendExtended(b []byte, id int32, oid string, value []byte) []byte {
	b, message := begin(b, tagSequence)
	b = appendInteger(b, tagInteger, int64(id))
	b, op := begin(b, opExtended)
	b = appendString(b, context0, oid)
	if value != nil {
		b = appendString(b, context0+1, string(value))
	}
	return end(end(b, op), message)
}

// AppendSearch appends a search (RFC 4511 section 4.5.1). The error is that of the filter.
func AppendSearch(b []byte, id int32, req *ldap.SearchRequest) ([]byte, error) {
	b, message := begin(b, tagSequence)
	b = appendInteger(b, tagInteger, int64(id))
	b, op := begin(b, opSearch)
	b = appendString(b, tagOctetString, req.BaseDN)
	b = appendInteger(b, tagEnumerated, int64(req.Scope))
	b = appendInteger(b, tagEnumerated, int64(req.DerefAliases))
	b = appendInteger(b, tagInteger, int64(req.SizeLimit))
	b = appendInteger(b, tagInteger, int64(req.TimeLimit))
	typesOnly := byte(0)
	if req.TypesOnly {
		typesOnly = 0xff
	}
	b = append(b, tagBoolean, 1, typesOnly)
	b, err := appendFilter(b, req.Filter)
	if err != nil {
		return nil, err
	}
	b, attributes := begin(b, tagSequence)
	for _, name := range req.Attributes {
		b = appendString(b, tagOctetString, name)
	}
	b = end(end(b, attributes), op)
	if len(req.Controls) > 0 {
		var controls int
		b, controls = begin(b, context0Constructed)
		for _, control := range req.Controls {
			b = append(b, control.Encode().Bytes()...)
		}
		b = end(b, controls)
	}
	return end(b, message), nil
}

// begin opens an element whose length is not known yet; its contents begin at the returned index.
func begin(b []byte, tag byte) ([]byte, int) {
	b = append(b, tag, 0)
	return b, len(b)
}

// end writes the length of the element whose contents began at start.
func end(b []byte, start int) []byte {
	n := len(b) - start
	if n < 0x80 {
		b[start-1] = byte(n)
		return b
	}
	octets := 1
	for n>>(8*octets) > 0 {
		octets++
	}
	b = append(b, make([]byte, octets)...)
	copy(b[start+octets:], b[start:start+n])
	b[start-1] = 0x80 | byte(octets)
	for i := range octets {
		b[start+i] = byte(n >> (8 * (octets - 1 - i)))
	}
	return b
}

func appendString(b []byte, tag byte, s string) []byte {
	b, start := begin(b, tag)
	return end(append(b, s...), start)
}

// appendInteger writes the shortest two's complement form of a number that is not negative.
func appendInteger(b []byte, tag byte, n int64) []byte {
	var octets [8]byte
	binary.BigEndian.PutUint64(octets[:], uint64(max(n, 0)))
	first := 0
	for first < 7 && octets[first] == 0 && octets[first+1] < 0x80 {
		first++
	}
	b = append(b, tag, byte(8-first))
	return append(b, octets[first:]...)
}

// Tags of filters (RFC 4511 section 4.5.1.7).
const (
	filterAnd     = 0xa0
	filterOr      = 0xa1
	filterNot     = 0xa2
	filterEqual   = 0xa3
	filterPresent = 0x87
)

// maxFilterDepth bounds how deep filters are nested.
const maxFilterDepth = 100

var errFilter = errors.New("not a search filter")

// appendFilter compiles the text of a filter (RFC 4515). What is said often, lists of equalities, is compiled here without
// a tree of packets in between; all else by go-ldap.
func appendFilter(b []byte, text string) ([]byte, error) {
	compiled, rest, err := appendPart(b, text, 0)
	if err == nil && rest == "" {
		return compiled, nil
	}
	return appendCompiled(b, text)
}

func appendCompiled(b []byte, text string) ([]byte, error) {
	packet, err := ldap.CompileFilter(text)
	if err != nil {
		return nil, err
	}
	return append(b, packet.Bytes()...), nil
}

// appendPart compiles the filter in parentheses that text begins with, and returns what follows.
func appendPart(b []byte, text string, depth int) ([]byte, string, error) {
	if len(text) < 3 || text[0] != '(' || depth > maxFilterDepth {
		return nil, "", errFilter
	}
	tag := byte(0)
	switch text[1] {
	case '&':
		tag = filterAnd
	case '|':
		tag = filterOr
	case '!':
		tag = filterNot
	default:
		return appendItem(b, text)
	}
	b, start := begin(b, tag)
	rest, parts := text[2:], 0
	for ; strings.HasPrefix(rest, "("); parts++ {
		var err error
		if b, rest, err = appendPart(b, rest, depth+1); err != nil {
			return nil, "", err
		}
	}
	if !strings.HasPrefix(rest, ")") || parts == 0 || tag == filterNot && parts != 1 {
		return nil, "", errFilter
	}
	return end(b, start), rest[1:], nil
}

// appendItem compiles one comparison.
func appendItem(b []byte, text string) ([]byte, string, error) {
	closing := strings.IndexByte(text, ')')
	if closing < 0 {
		return nil, "", errFilter
	}
	name, value, _ := strings.Cut(text[1:closing], "=")
	rest := text[closing+1:]
	simple := name != "" && value != ""
	for i := 0; i < len(name) && simple; i++ {
		c := name[i] | 0x20 // lower case
		simple = 'a' <= c && c <= 'z' || '0' <= name[i] && name[i] <= '9' || name[i] == '-'
	}
	if simple && value == "*" {
		return appendString(b, filterPresent, name), rest, nil
	}
	if simple {
		from := len(b)
		var equal, assertion int
		b, equal = begin(b, filterEqual)
		b = appendString(b, tagOctetString, name)
		b, assertion = begin(b, tagOctetString)
		if b, simple = appendUnescaped(b, value); simple {
			return end(end(b, assertion), equal), rest, nil
		}
		b = b[:from]
	}
	b, err := appendCompiled(b, text[:closing+1])
	return b, rest, err
}

// appendUnescaped appends a value with its escapes (RFC 4515 section 3: backslash and two hexadecimal digits) undone. It
// reports false for one that is no plain value.
func appendUnescaped(b []byte, value string) ([]byte, bool) {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '*', c == '(', c == 0, c >= 0x80:
			return b, false
		case c != '\\':
			b = append(b, c)
		default:
			if i+2 >= len(value) || hexDigit(value[i+1]) > 15 || hexDigit(value[i+2]) > 15 {
				return b, false
			}
			b = append(b, hexDigit(value[i+1])<<4|hexDigit(value[i+2]))
			i += 2
		}
	}
	return b, true
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return math.MaxUint8
}
