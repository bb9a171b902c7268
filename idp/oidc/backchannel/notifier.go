package backchannel

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

// TokenType is the typ of a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const TokenType = "logout+jwt"

const (
	linked = "openid/links/" // the keys in the store begin with it

	timeout       = 5 * time.Second
	tries         = 3
	tokenLifetime = 2 * time.Minute
	// backdated is how far iat lies behind, as in ID tokens.
	backdated = 10 * time.Second
	// mostRead bounds what is read of an answer, so that the connection can serve again.
	mostRead = 4 << 10
)

// Store keeps values that expire. Of several Takes of a value, in all processes, one gets it, and
// for the others it is fs.ErrNotExist. Keys are those below a prefix.
type Store interface {
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Take(ctx context.Context, key string) ([]byte, error)
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Config is what a Notifier needs. All fields but After are required.
type Config struct {
	Store Store
	// Client sends: see [NewClient]. Its redirects are not followed.
	Client *http.Client
	// Sign returns the claims as a JWT of the type TokenType, signed with the key of an identity host.
	Sign func(host string, claims map[string]any) (string, error)
	// Address returns where an app of an identity host takes logout tokens; "": it takes none.
	Address func(host, app string) string
	Now     func() time.Time
	Rand    io.Reader
	Log     zerolog.Logger
	After   func(time.Duration) <-chan time.Time // between two tries; nil: time.After
}

// Link says that a session signed in to an app.
type Link struct {
	Host    string `json:"host"` // the identity host
	App     string `json:"app"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Session string `json:"sid"`
}

// Notifier tells apps of the ends of sessions. It is safe for concurrent use. Close it.
type Notifier struct {
	Config
	lanes lanes
}

// New returns a Notifier without doing any I/O.
func New(c Config) *Notifier {
	client := *c.Client
	client.Timeout = timeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	if c.After == nil {
		c.After = time.After
	}
	n := &Notifier{Config: c}
	n.lanes.closing, n.lanes.close = context.WithCancel(context.Background())
	return n
}

// NewClient returns a client that trusts the given authorities (nil: the system's), and uses no proxy. The addresses are
// the operator's, so that one on the company's network is as good as any.
func NewClient(roots *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = 1
	return &http.Client{Transport: transport}
}

// Link remembers that a session of a person of a directory signed in to an app, for as long as the
// session can last. Call it before the app gets anything, and look afterwards whether the session holds.
func (n *Notifier) Link(ctx context.Context, l Link, directory, person, id string, ttl time.Duration) error {
	value, err := json.Marshal(l)
	if err == nil {
		err = n.Store.Set(ctx, linksOf(directory, person)+"/"+hashed(id)+"-"+hashed(l.Host, l.App), value, ttl)
	}
	if err != nil {
		return fmt.Errorf("keeping which app a session signed in to: %w", err)
	}
	return nil
}

// linksOf returns the key below which the links of a person's sessions are. They begin with their
// session: a level of its own would leave an empty folder behind for each.
func linksOf(directory, person string) string { return linked + hashed(directory, person) }

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Ended tells the apps of what has ended, beside the caller.
func (n *Notifier) Ended(end session.End) {
	n.enqueue("", job{
		log: func(e *zerolog.Event) *zerolog.Event {
			return e.Str("person", end.Person).Str("hint", "apps that this person was signed in to may still show them as signed in; is the data directory readable and writable?")
		},
		do: func(ctx context.Context) error {
			links := linksOf(end.Directory, end.Person)
			keys, err := n.Store.Keys(ctx, links)
			if err != nil {
				return fmt.Errorf("reading which apps a session signed in to: %w", err)
			}
			for _, key := range keys {
				if end.Session != "" && !strings.HasPrefix(key, links+"/"+hashed(end.Session)+"-") {
					continue
				}
				value, err := n.Store.Take(ctx, key)
				if errors.Is(err, fs.ErrNotExist) { // another process tells that app
					continue
				}
				if err != nil {
					return fmt.Errorf("reading which app a session signed in to: %w", err)
				}
				l := Link{}
				if err := json.Unmarshal(value, &l); err != nil {
					return fmt.Errorf("reading which app a session signed in to: %w", err)
				}
				if n.Address(l.Host, l.App) == "" { // it has been taken out of the configuration since
					continue
				}
				n.enqueue(l.Host+" "+l.App, job{
					log: func(e *zerolog.Event) *zerolog.Event {
						return e.Str("host", l.Host).Str("app", l.App).Str("address", n.Address(l.Host, l.App)).
							Str("hint", "the app may still show the person as signed in; does its back-channel logout address answer this machine, with a certificate that it trusts, and with status 200?")
					},
					do: func(ctx context.Context) error { return n.send(ctx, l) },
				})
			}
			return nil
		},
	})
}

// send sends one logout token (OpenID Connect Back-Channel Logout 1.0, section 2.5). Each try has one of its own.
func (n *Notifier) send(ctx context.Context, l Link) error {
	id := make([]byte, 16)
	if _, err := io.ReadFull(n.Rand, id); err != nil {
		return fmt.Errorf("making a logout token: %w", err)
	}
	now := n.Now()
	token, err := n.Sign(l.Host, map[string]any{
		"iss": l.Issuer, "aud": l.App, "sub": l.Subject, "sid": l.Session,
		"iat": now.Add(-backdated).Unix(), "exp": now.Add(tokenLifetime).Unix(), "jti": base64.RawURLEncoding.EncodeToString(id),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Address(l.Host, l.App), strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return fmt.Errorf("sending a logout token: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := n.Client.Do(r)
	if err != nil {
		return fmt.Errorf("sending a logout token: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, mostRead)
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("sending a logout token: the answer is %s", response.Status)
	}
	return nil
}

// Close gives up what was not sent yet, with a log line for each, and waits until nothing goes on.
func (n *Notifier) Close() {
	n.lanes.mu.Lock()
	n.lanes.close()
	n.lanes.mu.Unlock()
	n.lanes.work.Wait()
	n.Client.CloseIdleConnections()
}
