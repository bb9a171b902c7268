package session

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"persona-sidecar/idp/keys"
)

const (
	// A purpose begins the associated data: nothing else that is sealed under the same
	// key can pass for a session, and a session at a website's host not for one at the
	// identity host.
	purpose     = "persona session"
	sitePurpose = "persona site session"

	layout = 2
	// The kinds of computer, in capitals where the password had expired at sign-in.
	kindPrivate byte = 'p'
	kindShared  byte = 's'
	capital     byte = 'a' - 'A'

	idLen     = 16
	headerLen = 2 + idLen + 6*8

	// maxValueLen is far above the longest cookie value that is made.
	maxValueLen = 1024
)

// line seals a session into a Set-Cookie line.
func (m *Manager) line(b binding, session Session) (string, error) {
	bound, err := b.associated()
	if err != nil {
		return "", err
	}
	sealed, err := m.seal(session, bound)
	if err != nil {
		return "", err
	}
	maxAge := time.Duration(0)
	if session.Computer == Private {
		maxAge = m.expires(session).Sub(m.now())
	}
	return cookieLine(b.cookie(), base64.RawURLEncoding.EncodeToString(sealed), maxAge), nil
}

// write seals a session into the response's cookie.
func (m *Manager) write(w http.ResponseWriter, b binding, session Session) error {
	line, err := m.line(b, session)
	if err == nil {
		setCookie(w, b.cookie(), line)
	}
	return err
}

// seal seals a session for what it is bound to.
func (m *Manager) seal(session Session, bound []byte) ([]byte, error) {
	plain, err := session.marshal()
	if err != nil {
		return nil, err
	}
	sealed, err := m.sealer.Seal(plain, bound)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return sealed, nil
}

// open unseals the value of a cookie.
func (m *Manager) open(value string, b binding) (Session, error) {
	bound, err := b.associated()
	if err != nil {
		return Session{}, err
	}
	if len(value) > maxValueLen || strings.ContainsAny(value, "\r\n") { // which base64 would skip
		return Session{}, none("the cookie is malformed")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return Session{}, none("the cookie is malformed")
	}
	return m.unseal(sealed, bound, b.Directory)
}

// unseal is the reverse of seal.
func (m *Manager) unseal(sealed, bound []byte, directory string) (Session, error) {
	plain, err := m.sealer.Open(sealed, bound)
	if errors.Is(err, keys.ErrNotReady) {
		return Session{}, fmt.Errorf("reading the session: %w", err)
	}
	if err != nil {
		return Session{}, none("it was not sealed here, or for another host or directory")
	}
	session, err := unmarshal(plain)
	if err != nil {
		return Session{}, err
	}
	session.Directory = directory
	return session, nil
}

// associated is what the seal of a cookie binds a session to.
func (b binding) associated() ([]byte, error) {
	if b.Site == "" {
		return associated(purpose, b.Host, b.Directory)
	}
	return associated(sitePurpose, b.Host, b.Directory, b.Site)
}

// associated binds something sealed to a purpose and to names, which their lengths keep apart.
func associated(purpose string, names ...string) ([]byte, error) {
	data := make([]byte, 0, 256)
	data = append(data, purpose...)
	data = append(data, layout)
	for _, name := range names {
		if name == "" || len(name) > maxNameLen {
			return nil, fmt.Errorf("%s: cannot be bound to %.40q", purpose, names)
		}
		data = append(data, byte(len(name)))
		data = append(data, name...)
	}
	return data, nil
}

// marshal writes: layout, kind of computer, id (16), six integers of 8 bytes
// (authenticated, allowed, seen, ends, password changed in Unix milliseconds; epoch),
// person. The directory is in the associated data.
func (s Session) marshal() ([]byte, error) {
	id, err := hex.DecodeString(s.ID)
	if err != nil || len(id) != idLen || len(s.Person) == 0 || len(s.Person) > maxPersonLen {
		return nil, errors.New("not a session that was started here")
	}
	kind := kindShared
	if s.Computer == Private {
		kind = kindPrivate
	}
	if s.PasswordExpired {
		kind -= capital
	}
	data := make([]byte, 0, headerLen+len(s.Person))
	data = append(data, layout, kind)
	data = append(data, id...)
	for _, t := range []time.Time{s.Authenticated, s.Allowed, s.Seen, s.Ends, s.PasswordChanged} {
		data = binary.BigEndian.AppendUint64(data, uint64(t.UnixMilli()))
	}
	data = binary.BigEndian.AppendUint64(data, s.Epoch)
	return append(data, s.Person...), nil
}

// unmarshal is the reverse of marshal, but for the directory.
func unmarshal(data []byte) (Session, error) {
	if len(data) <= headerLen || len(data) > headerLen+maxPersonLen || data[0] != layout {
		return Session{}, none("the session is of another program version")
	}
	s := Session{Computer: Shared, ID: hex.EncodeToString(data[2 : 2+idLen]), PasswordExpired: data[1]&capital == 0}
	switch data[1] {
	case kindPrivate, kindPrivate - capital:
		s.Computer = Private
	case kindShared, kindShared - capital:
	default:
		return Session{}, none("the session is of another program version")
	}
	rest := data[2+idLen:]
	for _, t := range []*time.Time{&s.Authenticated, &s.Allowed, &s.Seen, &s.Ends, &s.PasswordChanged} {
		*t = time.UnixMilli(int64(binary.BigEndian.Uint64(rest))).UTC()
		rest = rest[8:]
	}
	s.Epoch = binary.BigEndian.Uint64(rest)
	s.Person = string(rest[8:])
	return s, nil
}
