package verifier

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

const (
	// MostHops is how often authority may be delegated on the way from a mail
	// domain to the authority that speaks for it.
	MostHops = 5
	// LookupTime is what a whole look-up may take, as in the historic service.
	LookupTime = 8 * time.Second
)

// Authority is who speaks for a mail domain.
type Authority struct {
	// Name is the authority's host or host:port, as certificates must name
	// their issuer. Pages lie at https://Name and the document's paths.
	Name string
	// Chain are the names on the way from the mail domain, the first, to Name,
	// the last.
	Chain   []string
	Support browserid.Support
	// Own is true when the authority is one of our own hosts, see [Own].
	Own bool
}

// Keys are the keys that the authority's certificates may be signed with.
func (a Authority) Keys() []*browserid.PublicKey {
	if len(a.Support.Keys) > 0 {
		return a.Support.Keys
	}
	return []*browserid.PublicKey{a.Support.PublicKey}
}

// Lookup is one step of a discovery: the document of one authority about a mail
// domain, or why there is none.
type Lookup struct {
	Name, Domain string
	Document     browserid.Document // nil with an Err
	Err          error
	Own          bool // the document is one of our own
	// Response is what the server answered, with its body in Body, of which one
	// byte more than 64 KiB is read at most. It is nil when no answer came, and
	// when the document was known already.
	Response *http.Response
	Body     []byte
}

// Own returns the documents of our own domains from memory. ok is false for a
// domain that is not ours. An error means that it is ours and that its keys are
// not ready yet.
type Own func(domain string) (doc browserid.Document, ok bool, err error)

// Discovery finds the authority over mail domains. It is safe for concurrent use.
type Discovery struct {
	own     Own
	observe func(Lookup)
	limit   time.Duration
	fetcher *fetcher
	cache   Cache
	asked   flights // by caller and document: what a caller asks twice takes one slot
	fetched flights // by document: what several callers ask is fetched once
	turns   *turns
	done    context.Context
	stop    context.CancelFunc
}

// NewDiscovery makes a Discovery. Nothing is asked yet.
func NewDiscovery(config DiscoveryConfig) *Discovery {
	config = config.withDefaults()
	done, stop := context.WithCancel(context.Background())
	return &Discovery{
		own:     config.Own,
		observe: config.Observe,
		limit:   config.Time,
		fetcher: newFetcher(config),
		cache:   config.Cache,
		asked:   flights{limit: config.Time, under: map[string]*flight{}},
		fetched: flights{limit: config.Time, under: map[string]*flight{}},
		turns:   &turns{free: mostLookups, callers: map[string]*line{}},
		done:    done,
		stop:    stop,
	}
}

// Close ends all look-ups that are under way.
func (d *Discovery) Close() { d.stop() }

// Discover finds the authority over a mail domain: the last in the chain of
// delegations that begins there. It takes at most [LookupTime]. The error is a
// [*LookupError], [ErrBusy], the context's error, or, when the domain is our own,
// that of [Own].
func (d *Discovery) Discover(ctx context.Context, domain string) (Authority, error) {
	return d.DiscoverFrom(ctx, domain, domain)
}

// DiscoverFrom is Discover for a chain that begins at another authority, such as
// the domain at a port of its own.
func (d *Discovery) DiscoverFrom(ctx context.Context, authority, domain string) (Authority, error) {
	for _, name := range []string{authority, domain} {
		if _, err := browserid.ParseAuthority(name); err != nil {
			return Authority{}, invalidDomain(name, err)
		}
	}
	var deadline time.Time // of all look-ups together; what is known needs none
	chain := make([]string, 1, MostHops+1)
	chain[0] = authority
	for {
		key := cacheKey{chain[len(chain)-1], domain}
		step, known := d.known(ctx, key)
		if !known {
			if deadline.IsZero() {
				deadline = time.Now().Add(d.limit)
			}
			step = d.lookUp(ctx, key, deadline)
		}
		if step.Err != nil && ctx.Err() == nil && errors.Is(step.Err, context.DeadlineExceeded) {
			step.Err = timedOut(key.name, step.Err)
		}
		if d.observe != nil {
			d.observe(step)
		}
		if step.Err != nil {
			return Authority{}, step.Err
		}
		switch doc := step.Document.(type) {
		case browserid.Support:
			return Authority{Name: key.name, Chain: chain, Support: doc, Own: step.Own}, nil
		case browserid.Delegation:
			way := strings.Join(append(chain, doc.Authority), " > ")
			if slices.Contains(chain, doc.Authority) {
				return Authority{}, &LookupError{Circular, chain[0], "Circular reference in delegating authority: " + way, nil}
			}
			if len(chain) > MostHops {
				return Authority{}, &LookupError{TooManyHops, chain[0], "Too many hops while delegating authority: " + way, nil}
			}
			chain = append(chain, doc.Authority)
		default:
			return Authority{}, notPrimary(Disabled, key.name, "it is disabled", nil)
		}
	}
}

// known returns a document without a request: our own, or one that was looked up
// a while ago.
func (d *Discovery) known(ctx context.Context, key cacheKey) (Lookup, bool) {
	if doc, ok, err := d.own(key.name); ok {
		return Lookup{Name: key.name, Domain: key.domain, Document: doc, Err: err, Own: true}, true
	}
	return d.cached(ctx, key)
}

// lookUp asks the domain's server, when it is the caller's turn. Callers that ask
// the same meanwhile wait for the same answer; the request ends when the last of
// them has given up.
func (d *Discovery) lookUp(ctx context.Context, key cacheKey, deadline time.Time) Lookup {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	failed := func(err error) Lookup { return Lookup{Name: key.name, Domain: key.domain, Err: err} }
	caller, _ := ctx.Value(callerKey{}).(string) // "" for none
	document := key.name + "?" + key.domain
	answer, err := d.asked.join(ctx, d.done, caller+" "+document, func(ctx context.Context) Lookup {
		done, err := d.turns.take(ctx, caller)
		if err != nil {
			return failed(err)
		}
		defer done()
		step, err := d.fetched.join(ctx, d.done, document, func(ctx context.Context) Lookup {
			if step, ok := d.cached(ctx, key); ok { // another look-up ended just now
				return step
			}
			step, age := d.fetcher.fetch(ctx, key.name, key.domain)
			if !errors.Is(ctx.Err(), context.Canceled) { // else it is us who gave up
				d.keep(context.WithoutCancel(ctx), key, step, age)
			}
			return step
		})
		if err != nil {
			return failed(err)
		}
		return step
	})
	if err != nil {
		return failed(err)
	}
	return answer
}
