package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"persona-sidecar/idp/identity"
)

const (
	// handOverPurpose begins what the value behind a code is bound to.
	handOverPurpose = "persona hand-over"

	// codeLifetime is the time for the one redirect from the identity host to the website's.
	codeLifetime = 30 * time.Second
	codeLen      = 32

	handOvers = "handovers" // the keys in the store begin with it
)

// HandOver gives out a code that [Manager.TakeOver] turns into a session at a website's
// host, once, within 30 seconds, and for the same challenge. The request is one to the
// identity host; where it is not signed in, by the rules of [Manager.Current], the code
// is "". The errors are those of Current; a site that is not among those of the host is
// one, too.
func (m *Manager) HandOver(w http.ResponseWriter, r *http.Request, h *identity.Host, site, challenge string) (code string, err error) {
	if _, ok := h.Sites[site]; !ok || site == h.Name {
		return "", fmt.Errorf("handing a session over: %.40q is not a site of %s", site, h.Name)
	}
	bound, err := associated(handOverPurpose, h.Name, h.DirectoryName, site, challenge)
	if err != nil {
		return "", fmt.Errorf("handing a session over: %w", err)
	}
	current, _, err := m.current(w, r, h, Recent)
	if err != nil || current.ID == "" {
		return "", err
	}
	sealed, err := m.seal(current, bound)
	if err != nil {
		return "", unavailable(fmt.Errorf("handing a session over: %w", err))
	}
	random := make([]byte, codeLen)
	if _, err := io.ReadFull(m.rand, random); err != nil {
		return "", unavailable(fmt.Errorf("handing a session over: making its code: %w", err))
	}
	code = base64.RawURLEncoding.EncodeToString(random)
	added, err := m.codes.Add(r.Context(), codeKey(code), sealed, codeLifetime)
	if err == nil && !added {
		err = errors.New("its code is there already")
	}
	if err != nil {
		return "", unavailable(fmt.Errorf("handing a session over: %w", err))
	}
	return code, nil
}

// TakeOver begins the session behind a code of HandOver at a website's host, in place of
// one that the browser has there: it sets the website's cookie, and reports whether it
// did. The code is used up by that, even where the challenge is another. An error wraps
// ErrUnavailable.
func (m *Manager) TakeOver(w http.ResponseWriter, r *http.Request, p Place, code, challenge string) (ok bool, err error) {
	b := p.binding()
	bound, err := associated(handOverPurpose, b.Host, b.Directory, b.Site, challenge)
	if err != nil {
		return false, nil
	}
	sealed, err := m.take(r.Context(), code)
	var session Session
	if err == nil {
		session, err = m.unseal(sealed, bound, b.Directory)
	}
	if err == nil {
		err = m.holds(r.Context(), session)
	}
	if errors.Is(err, errNone) {
		return false, nil
	}
	if err == nil {
		session.Seen = m.now()
		err = m.write(w, b, session)
	}
	if err != nil {
		return false, unavailable(fmt.Errorf("taking a session over: %w", err))
	}
	return true, nil
}

// Discard uses up a code of HandOver for no session: it has been seen where it does not
// belong. An error wraps ErrUnavailable.
func (m *Manager) Discard(ctx context.Context, code string) error {
	if _, err := m.take(ctx, code); err != nil && !errors.Is(err, errNone) {
		return unavailable(fmt.Errorf("discarding a code: %w", err))
	}
	return nil
}

// take uses up a code, and returns what is behind it. An errNone: nothing is.
func (m *Manager) take(ctx context.Context, code string) (sealed []byte, err error) {
	if random, err := base64.RawURLEncoding.Strict().DecodeString(code); err != nil || len(random) != codeLen {
		return nil, none("the code is malformed")
	}
	sealed, err = m.codes.Take(ctx, codeKey(code))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none("the code is used up, or has expired")
	}
	return sealed, err
}

// codeKey is where the store has what is behind a code: it cannot be told from there.
func codeKey(code string) string { return handOvers + "/" + hashed(code) }
