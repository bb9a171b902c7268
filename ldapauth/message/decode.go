package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/go-ldap/ldap/v3"
)

// Op is the kind of an answer.
type Op byte

// The answers of a server (RFC 4511 section 4.1.1).
const (
	BindResponse     Op = 0x61
	SearchEntry      Op = 0x64
	SearchDone       Op = 0x65
	SearchReference  Op = 0x73
	ExtendedResponse Op = 0x78
	Intermediate     Op = 0x79
)

// MaxSize bounds one message, in bytes: an entry with all the attributes that we ask for is far below.
const MaxSize = 16 << 20

// ErrMalformed means that what the server sent is not LDAP.
var ErrMalformed = errors.New("the server's answer is not LDAP")

// Read takes one message from a stream, into b if there is space. The error is io.EOF where the stream ended between two.
func Read(r *bufio.Reader, b []byte) ([]byte, error) {
	head, err := r.Peek(2)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if head[0] != tagSequence || head[1] == 0x80 || head[1] > 0x84 {
		return nil, ErrMalformed
	}
	octets := 0
	if head[1] > 0x80 {
		octets = int(head[1] & 0x7f)
		if head, err = r.Peek(2 + octets); err != nil {
			return nil, noEOF(err)
		}
	}
	n := int(head[1])
	if octets > 0 {
		n = 0
		for _, octet := range head[2:] {
			n = n<<8 | int(octet)
		}
	}
	if n > MaxSize {
		return nil, fmt.Errorf("the server's answer has %d bytes", n)
	}
	n += 2 + octets
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	_, err = io.ReadFull(r, b)
	return b, noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Message is a server's message, decoded as far as is needed to know what it is. It refers to the bytes that it was
// parsed from.
type Message struct {
	ID       int64 // of the request that it answers; 0: of none
	Op       Op
	body     []byte
	controls []byte
}

// Parse decodes what Read returned.
func Parse(b []byte) (Message, error) {
	outer := reader{b: b}
	contents := reader{b: outer.take(tagSequence), bad: outer.bad}
	m := Message{ID: contents.integer(tagInteger)}
	tag, body := contents.next()
	m.Op, m.body = Op(tag), body
	if contents.more() && contents.b[contents.at] == context0Constructed {
		m.controls = contents.take(context0Constructed)
	}
	if contents.bad || m.ID < 0 {
		return Message{}, ErrMalformed
	}
	return m, nil
}

// Result is the outcome of an operation (LDAPResult, RFC 4511 section 4.1.9): nil for success, an *ldap.Error for the
// server's other result codes, any other error for an answer that has none.
func (m Message) Result() error {
	r := reader{b: m.body}
	code := r.integer(tagEnumerated)
	matched, diagnostic := r.take(tagOctetString), r.take(tagOctetString)
	if r.bad || code < 0 || code >= ldap.ErrorNetwork { // above are go-ldap's own codes
		return ErrMalformed
	}
	if code == ldap.LDAPResultSuccess {
		return nil
	}
	return &ldap.Error{ResultCode: uint16(code), MatchedDN: string(matched), Err: errors.New(string(diagnostic))}
}

// Entry decodes a SearchEntry. The entry does not refer to the message's bytes.
func (m Message) Entry() (*ldap.Entry, error) {
	body := append([]byte(nil), m.body...)
	text := string(body) // one copy for all strings
	r := reader{b: body}
	r.take(tagOctetString)
	e := &ldap.Entry{DN: text[r.at-r.last : r.at]}
	list := reader{b: r.take(tagSequence), bad: r.bad}
	listAt := r.at - r.last

	attributes, values := 0, 0
	for count := list; count.more(); attributes++ {
		attribute := reader{b: count.take(tagSequence)}
		attribute.take(tagOctetString)
		for set := (reader{b: attribute.take(tagSet)}); set.more(); values++ {
			set.take(tagOctetString)
		}
	}
	attributesOf := make([]ldap.EntryAttribute, attributes)
	e.Attributes = make([]*ldap.EntryAttribute, 0, attributes)
	texts, raws := make([]string, 0, values), make([][]byte, 0, values)
	for list.more() {
		attribute := reader{b: list.take(tagSequence)}
		attributeAt := listAt + list.at - list.last
		attribute.take(tagOctetString)
		a := &attributesOf[len(e.Attributes)]
		a.Name = text[attributeAt+attribute.at-attribute.last : attributeAt+attribute.at]
		set := reader{b: attribute.take(tagSet)}
		setAt := attributeAt + attribute.at - attribute.last
		first := len(texts)
		for set.more() {
			value := set.take(tagOctetString)
			texts = append(texts, text[setAt+set.at-len(value):setAt+set.at])
			raws = append(raws, value[:len(value):len(value)])
		}
		a.Values, a.ByteValues = texts[first:len(texts):len(texts)], raws[first:len(raws):len(raws)]
		e.Attributes = append(e.Attributes, a)
		if list.bad || attribute.bad || set.bad {
			return nil, ErrMalformed
		}
	}
	if r.bad || list.bad {
		return nil, ErrMalformed
	}
	return e, nil
}

// Policy returns the password policy control (draft-behera-ldap-password-policy-11 section 6.2) of a bind's answer, or nil.
func (m Message) Policy() *ldap.ControlBeheraPasswordPolicy {
	for list := (reader{b: m.controls}); list.more(); {
		control := reader{b: list.take(tagSequence)}
		oid := control.take(tagOctetString)
		if control.more() && control.b[control.at] == tagBoolean {
			control.take(tagBoolean)
		}
		if string(oid) != ldap.ControlTypeBeheraPasswordPolicy || control.bad {
			continue
		}
		policy := ldap.NewControlBeheraPasswordPolicy()
		value := reader{b: control.take(tagOctetString)}
		for fields := (reader{b: value.take(tagSequence)}); fields.more(); {
			switch tag, contents := fields.next(); tag {
			case context0Constructed:
				warning := reader{b: contents}
				switch tag, number := warning.next(); tag {
				case context0:
					policy.Expire = integer(number)
				case context0 + 1:
					policy.Grace = integer(number)
				}
			case context0 + 1:
				policy.Error = int8(integer(contents))
				policy.ErrorString = ldap.BeheraPasswordPolicyErrorMap[policy.Error]
			}
		}
		return policy
	}
	return nil
}

// reader steps through BER elements with lengths in the definite form and tags of one byte, the only ones that LDAP has (RFC
// 4511 section 5.1). After the first fault all it returns is empty.
type reader struct {
	b    []byte
	at   int
	last int // length of the last element's contents, which end at at
	bad  bool
}

func (r *reader) more() bool { return !r.bad && r.at < len(r.b) }

// next returns the next element.
func (r *reader) next() (tag byte, contents []byte) {
	r.last = 0
	if r.bad || r.at+2 > len(r.b) {
		r.bad = true
		return 0, nil
	}
	tag, n, at := r.b[r.at], int(r.b[r.at+1]), r.at+2
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 4 || at+octets > len(r.b) {
			r.bad = true
			return 0, nil
		}
		n = 0
		for _, octet := range r.b[at : at+octets] {
			n = n<<8 | int(octet)
		}
		at += octets
	}
	if n > len(r.b)-at {
		r.bad = true
		return 0, nil
	}
	r.at, r.last = at+n, n
	return tag, r.b[at:r.at]
}

// take returns the contents of the next element, which must have this tag.
func (r *reader) take(tag byte) []byte {
	got, contents := r.next()
	if got != tag {
		r.bad, r.last = true, 0
		return nil
	}
	return contents
}

func (r *reader) integer(tag byte) int64 {
	contents := r.take(tag)
	if len(contents) == 0 || len(contents) > 8 {
		r.bad = true
		return 0
	}
	return integer(contents)
}

func integer(contents []byte) int64 {
	n := int64(0)
	for i, octet := range contents {
		if i == 0 {
			n = int64(int8(octet))
			continue
		}
		n = n<<8 | int64(octet)
	}
	return n
}
