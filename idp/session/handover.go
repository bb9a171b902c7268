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

	// mostHandOvers bounds the codes of a session in handOversIn, by each process: the store keeps each for
	// some minutes. A browser that restores its tabs needs one for each of them.
	mostHandOvers = 100
	handOversIn   = time.Minute
)

// ErrTooMany means that too many codes were given out for a session within a minute.
var ErrTooMany = errors.New("too many hand-overs")

// HandOver gives out a code that [Manager.TakeOver] turns into a session at a website's
// host, once, within 30 seconds, and for the same challenge. The request is one to the
// identity host; where it is not signed in, by the rules of [Manager.Current], the code
// is "". The errors are those of Current; a site that is not among those of the host is
// one, too, and so is ErrTooMany.
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
	if !m.known(current, h).handsOver(m.now()) {
		return "", ErrTooMany
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

// handsOver counts a hand-over, unless there were too many.
func (k *known) handsOver(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := now.Sub(k.countedSince); age >= handOversIn || age < 0 {
		k.countedSince, k.handedOver = now, 0
	}
	if k.handedOver >= mostHandOvers {
		return false
	}
	k.handedOver++
	return true
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
