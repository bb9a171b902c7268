package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"time"

	"persona-sidecar/idp/route"

	"github.com/rs/zerolog"
)

// aloneBeforeWarning is how many attempts must have come from one private
// address before it looks like a proxy: a single early user looks the same.
const aloneBeforeWarning = 20

// networkFactor is how many times more failures a client network may have
// than one account.
const networkFactor = 10

// Counters count recent events by key. All methods are atomic. An error means that
// the counters could not answer; the sign-in is refused then.
type Counters interface {
	// Count counts one event under key unless limit events lie within the window
	// that ends now. It returns 0 when it counted, else how long it takes until
	// there is room for one.
	Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
	// Return takes back the newest event counted under key, if there is one.
	Return(ctx context.Context, key string) error
	// Forget takes back all events counted under key.
	Forget(ctx context.Context, key string) error
}

// ThrottleConfig configures a Throttle. All fields are required.
type ThrottleConfig struct {
	// Failures is how many failed sign-ins an account, or a typed name, may
	// have within Window; a client network may have ten times as many. Keep
	// it below the number at which the directory itself locks an account.
	Failures int
	Window   time.Duration
	// Accounts count by account, of which there are as many as the directory has;
	// Counters by what strangers choose, names and client networks, so that
	// however many of those there are, no account is forgotten.
	Accounts, Counters Counters
	Log                zerolog.Logger
}

// Throttle slows down guessing: by account once the directory has found the
// entry, by the name as it was typed, and by client network. An attempt is
// counted before the directory is asked, so that parallel attempts cannot
// slip through, and is taken back when it was no failure.
//
// The counts are in Counters: a Throttle with other limits on the same ones goes
// on with them.
type Throttle struct {
	config ThrottleConfig

	mu      sync.Mutex
	gateway netip.Prefix // the only private network seen so far
	several bool         // attempts came from more than one network
	alone   int          // attempts from gateway while it is the only one
}

// NewThrottle makes a Throttle.
func NewThrottle(config ThrottleConfig) *Throttle { return &Throttle{config: config} }

// attempt is one sign-in on its way: the keys counted for it, and how long to
// wait where it was refused.
type attempt struct {
	throttle *Throttle
	network  string    // "" when not counted
	counted  []counted // the typed name and the account
	wait     time.Duration
}

// counted is a key in the counters that count it.
type counted struct {
	in  Counters
	key string
}

// begin counts an attempt by typed name and client. admitted is false when
// there were too many failures before.
func (t *Throttle) begin(ctx context.Context, directory, login string, client netip.Addr) (a *attempt, admitted bool, err error) {
	a = &attempt{throttle: t}
	if t.limits(client) {
		key := "network " + route.ClientNetwork(client).String()
		wait, err := t.config.Counters.Count(ctx, key, networkFactor*t.config.Failures, t.config.Window)
		if err != nil || wait > 0 {
			a.wait = wait
			return a, false, err
		}
		a.network = key
	}
	// Spellings that a directory takes for the same name are one.
	name := strings.ToLower(strings.Join(strings.Fields(login), " "))
	admitted, err = a.take(ctx, t.config.Counters, "name "+digest(directory, name))
	return a, admitted, err
}

// account reports whether a password may be tried on an account of a directory,
// and counts the try. It is the gate between the directory's search and its bind.
func (a *attempt) account(ctx context.Context, directory, id string) bool {
	admitted, err := a.take(ctx, a.throttle.config.Accounts, "account "+digest(directory, id))
	if err != nil {
		a.throttle.config.Log.Error().Err(err).Msg("counting a sign-in failed, so it is refused")
	}
	return admitted && err == nil
}

func (a *attempt) take(ctx context.Context, in Counters, key string) (admitted bool, err error) {
	t := a.throttle
	wait, err := in.Count(ctx, key, t.config.Failures, t.config.Window)
	if err != nil || wait > 0 {
		a.wait = max(a.wait, wait)
		return false, err
	}
	a.counted = append(a.counted, counted{in, key})
	return true, nil
}

// takeBack undoes the counting of an attempt that was no failure. When the person has
// proved that they know the password, the earlier failures of the same name and account go
// with it: that is not guessing.
func (a *attempt) takeBack(ctx context.Context, proven bool) {
	ctx = context.WithoutCancel(ctx) // also when the browser has left
	counters, log := a.throttle.config.Counters, a.throttle.config.Log
	for _, c := range a.counted {
		undo := c.in.Return
		if proven {
			undo = c.in.Forget
		}
		if err := undo(ctx, c.key); err != nil {
			log.Warn().Err(err).Msg("taking back a counted sign-in failed")
		}
	}
	if a.network != "" {
		if err := counters.Return(ctx, a.network); err != nil {
			log.Warn().Err(err).Msg("taking back a counted sign-in failed")
		}
	}
	a.counted, a.network = nil, ""
}

// limits reports whether a client network is limited. As long as every attempt
// comes from one private address, that is most likely a reverse proxy that we
// are not configured to trust, and a limit would lock out everyone at once.
func (t *Throttle) limits(client netip.Addr) bool {
	network := route.ClientNetwork(client)
	if !network.IsValid() {
		return false
	}
	client = client.Unmap()
	private := client.IsPrivate() || client.IsLoopback() || client.IsLinkLocalUnicast()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.several {
		return true
	}
	if !private || (t.gateway.IsValid() && t.gateway != network) {
		t.several = true
		return true
	}
	t.gateway = network
	if t.alone++; t.alone == aloneBeforeWarning {
		t.config.Log.Warn().Stringer("client", network).
			Str("hint", "if this is a reverse proxy, list it in trusted_proxies").
			Msg("all sign-ins come from one private address, so they are not limited by client address")
	}
	return false
}

// digest gives a key of bounded length, and keeps typed names out of the store.
func digest(directory, name string) string {
	sum := sha256.Sum256([]byte(directory + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
