package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// longestKept bounds the max-age that is honoured: the six hours that the
	// historic hub recommended.
	longestKept = 6 * time.Hour
	// usuallyKept is how long a document without a max-age is kept.
	usuallyKept = 5 * time.Minute
	// failureKept is how long a failed look-up is not repeated.
	failureKept = 30 * time.Second
	// mostKept bounds the default cache, at up to 64 KiB of document each,
	// typically one.
	mostKept = 4096
)

// Cache keeps values for a time. Get of a value that is not there is an error.
type Cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// cacheKey is a document: a delegate may answer differently for each domain
// that it is asked about.
type cacheKey struct{ name, domain string }

func (k cacheKey) String() string {
	sum := sha256.Sum256([]byte(k.name + "?" + k.domain))
	return "lookups/" + hex.EncodeToString(sum[:16])
}

// A value of the cache is one of these letters and a document as it was
// published, or a keptFailure in JSON.
const (
	keptDocument = 'd'
	keptError    = 'e'
)

type keptFailure struct {
	Kind   Kind
	Domain string
	Text   string
	Cause  string
	Hint   string
}

// cached returns a look-up that was kept. A cache that does not answer, or answers
// with what this program did not write, is as good as an empty one.
func (d *Discovery) cached(ctx context.Context, key cacheKey) (step Lookup, ok bool) {
	step = Lookup{Name: key.name, Domain: key.domain}
	value, err := d.cache.Get(ctx, key.String())
	if err != nil || len(value) == 0 {
		return step, false
	}
	switch value[0] {
	case keptDocument:
		step.Document, err = parseForeign(value[1:])
		return step, err == nil
	case keptError:
		var kept keptFailure
		if err := json.Unmarshal(value[1:], &kept); err != nil {
			return step, false
		}
		failure := &LookupError{Kind: kept.Kind, Domain: kept.Domain, text: kept.Text}
		if kept.Cause != "" {
			failure.cause = errors.New(kept.Cause)
		}
		if kept.Hint != "" {
			failure.cause = &hinted{failure.cause, kept.Hint}
		}
		step.Err = failure
		return step, true
	}
	return step, false
}

// keep keeps a look-up for a time; a failure for half a minute.
func (d *Discovery) keep(ctx context.Context, key cacheKey, step Lookup, age time.Duration) {
	value := append([]byte{keptDocument}, step.Body...)
	if step.Err != nil {
		failure, ok := errors.AsType[*LookupError](step.Err)
		if !ok {
			return
		}
		kept := keptFailure{Kind: failure.Kind, Domain: failure.Domain, Text: failure.text}
		if failure.cause != nil {
			kept.Cause = failure.cause.Error()
		}
		if hinted, ok := errors.AsType[*hinted](failure.cause); ok {
			kept.Hint = hinted.hint
		}
		text, err := json.Marshal(kept)
		if err != nil {
			return
		}
		value, age = append([]byte{keptError}, text...), failureKept
	}
	if age > 0 {
		_ = d.cache.Set(ctx, key.String(), value, age) // it is looked up again
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
