package verifier

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"persona-sidecar/idp/browserid"
)

const (
	// longestKept bounds the max-age that is honoured: the six hours that the
	// historic hub recommended.
	longestKept = 6 * time.Hour
	// usuallyKept is how long a document without a max-age is kept.
	usuallyKept = 5 * time.Minute
	// failureKept is how long a failed look-up is not repeated.
	failureKept = 30 * time.Second
	// mostKept bounds the cache, at up to 64 KiB of document each, typically one.
	mostKept = 4096
)

// cacheKey is a document: a delegate may answer differently for each domain
// that it is asked about.
type cacheKey struct{ name, domain string }

type cached struct {
	doc  browserid.Document
	err  error
	ends time.Time
}

// cache keeps documents, and failures to get one, for a while.
type cache struct {
	now func() time.Time

	mu      sync.RWMutex
	entries map[cacheKey]cached
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, entries: map[cacheKey]cached{}}
}

func (c *cache) get(key cacheKey) (doc browserid.Document, ok bool, err error) {
	c.mu.RLock()
	entry, ok := c.entries[key]
	c.mu.RUnlock()
	if !ok || !c.now().Before(entry.ends) {
		return nil, false, nil
	}
	return entry.doc, true, entry.err
}

func (c *cache) put(key cacheKey, doc browserid.Document, err error, age time.Duration) {
	if err != nil {
		age = failureKept
	}
	if age <= 0 {
		return
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= mostKept {
		c.makeRoom(now)
	}
	c.entries[key] = cached{doc, err, now.Add(age)}
}

// makeRoom drops what has ended, or else anything: it can be looked up again.
func (c *cache) makeRoom(now time.Time) {
	for key, entry := range c.entries {
		if !now.Before(entry.ends) {
			delete(c.entries, key)
		}
	}
	for key := range c.entries {
		if len(c.entries) < mostKept {
			return
		}
		delete(c.entries, key)
	}
}

// keepFor says how long an answer may be kept: by its Cache-Control (RFC 9111
// section 5.2.2), less the Age that it has already.
func keepFor(header http.Header) time.Duration {
	age := usuallyKept
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			age = seconds(strings.Trim(value, `"`))
		}
	}
	return min(age, longestKept) - seconds(header.Get("Age"))
}

// seconds reads a whole number of seconds; what is none is 0.
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil && n == 0 { // out of range gives the largest number, which is long
		return 0
	}
	return time.Duration(n) * time.Second
}
