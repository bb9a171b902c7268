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
	// purpose begins the associated data: nothing else that is sealed under the same
	// key can pass for a session.
	purpose = "persona session"

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

// write seals a session into the response's cookie.
func (m *Manager) write(w http.ResponseWriter, b binding, session Session) error {
	bound, err := b.associated()
	if err != nil {
		return err
	}
	plain, err := session.marshal()
	if err != nil {
		return err
	}
	sealed, err := m.sealer.Seal(plain, bound)
	if err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	maxAge := time.Duration(0)
	if session.Computer == Private {
		maxAge = m.expires(session).Sub(m.now())
	}
	setCookie(w, base64.RawURLEncoding.EncodeToString(sealed), maxAge)
	return nil
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
	plain, err := m.sealer.Open(sealed, bound)
	if errors.Is(err, keys.ErrNotReady) {
		return Session{}, fmt.Errorf("reading the session: %w", err)
	}
	if err != nil {
		return Session{}, none("the cookie was not sealed here, or for another host or directory")
	}
	session, err := unmarshal(plain)
	if err != nil {
		return Session{}, err
	}
	session.Directory = b.Directory
	return session, nil
}

// associated is what the seal binds a session to. Lengths keep the names apart.
func (b binding) associated() ([]byte, error) {
	if b.Host == "" || b.Directory == "" || len(b.Host) > maxNameLen || len(b.Directory) > maxNameLen {
		return nil, fmt.Errorf("session: not a binding: host %.40q, directory %.40q", b.Host, b.Directory)
	}
	data := make([]byte, 0, len(purpose)+3+len(b.Host)+len(b.Directory))
	data = append(data, purpose...)
	data = append(data, layout, byte(len(b.Host)))
	data = append(data, b.Host...)
	data = append(data, byte(len(b.Directory)))
	return append(data, b.Directory...), nil
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
