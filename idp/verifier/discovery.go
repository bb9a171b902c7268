package verifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"persona-sidecar/idp/browserid"

	"golang.org/x/sync/singleflight"
)

const (
	// MostHops is how often authority may be delegated on the way from a mail
	// domain to whoever speaks for it.
	MostHops = 5
	// lookupTime is what a whole look-up may take, as in the historic service.
	lookupTime = 8 * time.Second
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
}

// Keys are the keys that the authority's certificates may be signed with.
func (a Authority) Keys() []*browserid.PublicKey {
	if len(a.Support.Keys) > 0 {
		return a.Support.Keys
	}
	return []*browserid.PublicKey{a.Support.PublicKey}
}

// Own tells the documents of our own domains from memory. ok is false for a
// domain that is not ours. An error means that it is ours and that its keys are
// not ready yet.
type Own func(domain string) (doc browserid.Document, ok bool, err error)

// Discovery finds the authority over mail domains. It is safe for concurrent use.
type Discovery struct {
	own     Own
	fetcher *fetcher
	cache   *cache
	flights singleflight.Group
	slots   chan struct{} // one for each look-up that is under way
	done    context.Context
	stop    context.CancelFunc
}

// mostLookups bounds the requests to other servers at one time.
const mostLookups = 64

// NewDiscovery makes a Discovery. Nothing is asked yet.
func NewDiscovery(config DiscoveryConfig) *Discovery {
	config = config.withDefaults()
	done, stop := context.WithCancel(context.Background())
	return &Discovery{
		own:     config.Own,
		fetcher: newFetcher(config),
		cache:   newCache(config.Now),
		slots:   make(chan struct{}, mostLookups),
		done:    done,
		stop:    stop,
	}
}

// Close ends all look-ups that are under way.
func (d *Discovery) Close() { d.stop() }

// Discover finds the authority over a mail domain: the last in the chain of
// delegations that begins there. It takes at most eight seconds. The error is a
// [*LookupError], the context's error, or, when the domain is our own, that of
// [Own].
func (d *Discovery) Discover(ctx context.Context, domain string) (Authority, error) {
	if err := checkDomain(domain); err != nil {
		return Authority{}, err
	}
	var deadline time.Time // of all look-ups together; what is known needs none
	chain := make([]string, 1, MostHops+1)
	chain[0] = domain
	for {
		key := cacheKey{chain[len(chain)-1], domain}
		doc, ok, err := d.known(key)
		if !ok {
			if deadline.IsZero() {
				deadline = time.Now().Add(lookupTime)
			}
			doc, err = d.lookUp(ctx, key, deadline)
		}
		if err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				err = timedOut(key.name, err)
			}
			return Authority{}, err
		}
		switch doc := doc.(type) {
		case browserid.Support:
			return Authority{Name: key.name, Chain: chain, Support: doc}, nil
		case browserid.Delegation:
			if slices.Contains(chain, doc.Authority) {
				return Authority{}, circular(chain, doc.Authority)
			}
			if len(chain) > MostHops {
				return Authority{}, tooManyHops(chain, doc.Authority)
			}
			chain = append(chain, doc.Authority)
		default:
			return Authority{}, notPrimary(Disabled, key.name, "it is disabled", nil)
		}
	}
}

// known returns a document that nobody need be asked for: our own, or one that
// was looked up a while ago.
func (d *Discovery) known(key cacheKey) (doc browserid.Document, ok bool, err error) {
	if doc, ok, err := d.own(key.name); ok {
		return doc, true, err
	}
	return d.cache.get(key)
}

// lookUp asks the domain's server. Whoever asks the same meanwhile waits for
// the same answer; the request goes on when one of them gives up.
func (d *Discovery) lookUp(ctx context.Context, key cacheKey, deadline time.Time) (browserid.Document, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	answer := d.flights.DoChan(key.name+"?"+key.domain, func() (any, error) {
		if doc, ok, err := d.cache.get(key); ok { // a flight before this one ended just now
			return doc, err
		}
		ctx, cancel := context.WithTimeout(d.done, lookupTime)
		defer cancel()
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		case <-ctx.Done():
			return nil, timedOut(key.name, ctx.Err())
		}
		doc, age, err := d.fetcher.fetch(ctx, key.name, key.domain)
		d.cache.put(key, doc, err, age)
		return doc, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-answer:
		doc, _ := result.Val.(browserid.Document)
		return doc, result.Err
	}
}
