package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

const (
	// loginPurpose begins what the cookie is bound to: nothing else that is sealed under the same key can pass for it.
	loginPurpose  = "persona login"
	loginLayout   = 1
	loginLifetime = 10 * time.Minute
	// mostLogins bounds the sign-ins under way in one browser: each tab has its own. Their cookie has at most mostLoginBytes.
	mostLogins     = 4
	mostLoginBytes = 3500
	secretLen      = 32
)

// login is a sign-in that was begun at a website.
type login struct {
	secret [secretLen]byte
	until  time.Time
	back   string // the path on the website that it ends at
}

// challenge is what the identity host learns of the secret.
func (l *login) challenge() string {
	sum := sha256.Sum256(l.secret[:])
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginBinding is what the seal binds the cookie to. No host name has a zero byte.
func loginBinding(site *Site) []byte {
	return []byte(loginPurpose + "\x00" + site.Host + "\x00" + site.Authority.Name)
}

// openLogins reads the sign-ins under way, the latest last, from the cookie of a request. A cookie that is not one of ours, for this site,
// holds none. An error wraps session.ErrUnavailable.
func (g *Gate) openLogins(r *http.Request, site *Site) ([]login, error) {
	value, ok := session.Cookie(r, session.LoginCookieName)
	if !ok || len(value) > mostLoginBytes || strings.ContainsAny(value, "\r\n") {
		return nil, nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, nil
	}
	plain, err := g.Sealer.Open(sealed, loginBinding(site))
	if errors.Is(err, keys.ErrNotReady) {
		return nil, fmt.Errorf("%w: reading the sign-ins under way: %w", session.ErrUnavailable, err)
	}
	if err != nil || len(plain) == 0 || plain[0] != loginLayout {
		return nil, nil
	}
	const head = 8 + secretLen + 2
	var all []login
	for rest := plain[1:]; len(rest) > 0; {
		if len(rest) < head || len(rest) < head+int(binary.BigEndian.Uint16(rest[head-2:])) {
			return nil, nil
		}
		end := head + int(binary.BigEndian.Uint16(rest[head-2:]))
		l := login{until: time.UnixMilli(int64(binary.BigEndian.Uint64(rest))), back: string(rest[head:end])}
		copy(l.secret[:], rest[8:])
		if left := l.until.Sub(g.Now()); left > 0 && left <= loginLifetime {
			all = append(all, l)
		}
		rest = rest[end:]
	}
	return all, nil
}

// writeLogins sets the cookie to the latest of the sign-ins, as many as it may hold, or clears it. An error wraps
// session.ErrUnavailable.
func (g *Gate) writeLogins(w http.ResponseWriter, site *Site, all []login) error {
	for all = all[max(0, len(all)-mostLogins):]; len(all) > 0; all = all[1:] {
		plain := []byte{loginLayout}
		for i := range all {
			plain = binary.BigEndian.AppendUint64(plain, uint64(all[i].until.UnixMilli()))
			plain = append(plain, all[i].secret[:]...)
			plain = binary.BigEndian.AppendUint16(plain, uint16(len(all[i].back)))
			plain = append(plain, all[i].back...)
		}
		sealed, err := g.Sealer.Seal(plain, loginBinding(site))
		if err != nil {
			return fmt.Errorf("%w: sealing the sign-ins under way: %w", session.ErrUnavailable, err)
		}
		if value := base64.RawURLEncoding.EncodeToString(sealed); len(value) <= mostLoginBytes {
			session.SetCookie(w, session.LoginCookieName, value, loginLifetime)
			return nil
		}
	}
	session.SetCookie(w, session.LoginCookieName, "", -1)
	return nil
}
