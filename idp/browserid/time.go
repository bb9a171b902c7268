package browserid

import (
	"fmt"
	"strconv"
	"time"

	"persona-sidecar/idp/browserid/strictjson"
)

const (
	// Skew is how far the clocks of issuer, browser and verifier may differ.
	Skew = 30 * time.Second
	// BackDated is how long before its making a certificate says it was issued.
	// The historic verifiers allowed no skew at all.
	BackDated = 10 * time.Second
	// ShortestCertificate is the shortest lifetime of a certificate.
	ShortestCertificate = time.Minute
	// LongestCertificate is the longest lifetime of a certificate.
	LongestCertificate = 24 * time.Hour
	// LongestAssertion is how far ahead an assertion may expire.
	LongestAssertion = 10 * time.Minute
)

// Times of the protocol lie between 1973 and the end of the year 9999, in
// milliseconds; anything smaller is a time in seconds.
const (
	leastMillis = 100_000_000_000
	mostMillis  = 253_402_300_799_999
)

// millis is t as it stands on the wire. A time that no verifier would take, by
// a clock that was never set, is an error.
func millis(t time.Time) (int64, error) {
	ms := t.UnixMilli()
	if ms < leastMillis || ms > mostMillis {
		return 0, fmt.Errorf("the time %s is out of range (is the clock right?)", t.UTC().Format(time.RFC3339))
	}
	return ms, nil
}

// timeOf reads the time in the claim name. It must be written as an integer:
// 1.3e12 or "1300000000000" is read differently by different parsers.
func timeOf(o strictjson.Object, name string) (time.Time, error) {
	value, ok := o.Get(name)
	if !ok {
		return time.Time{}, fmt.Errorf("%q is missing", name)
	}
	ms, err := strconv.ParseInt(string(value), 10, 64)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q is %s, not an integer of milliseconds", name, strictjson.Quote(value))
	case ms < 0 || ms > mostMillis:
		return time.Time{}, fmt.Errorf("%q is %d milliseconds, which is no time", name, ms)
	case ms < leastMillis:
		return time.Time{}, fmt.Errorf("%q %w", name, ErrSeconds)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// optionalTimeOf is timeOf for a claim that may be absent: the zero time.
func optionalTimeOf(o strictjson.Object, name string) (time.Time, error) {
	if _, ok := o.Get(name); !ok {
		return time.Time{}, nil
	}
	return timeOf(o, name)
}
