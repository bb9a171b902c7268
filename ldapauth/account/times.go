package account

import (
	"math"
	"strconv"
	"time"

	"persona-sidecar/ldapauth/schema"
)

// parse reads a time as an attribute of an account writes it.
func parse(format schema.TimeFormat, text string) (at time.Time, never, readable bool) {
	if format == schema.Generalized {
		at, readable = generalized(text)
		return at, false, readable
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, false, false
	}
	if format == schema.Days {
		return days(n), n < 0, true
	}
	return fileTime(n), n == 0 || n == math.MaxInt64, n >= 0
}

// generalized reads GeneralizedTime, RFC 4517 section 3.3.13: minutes and seconds may be left out, a fraction of a second
// may follow.
func generalized(text string) (time.Time, bool) {
	for _, layout := range []string{"20060102150405Z0700", "20060102150405Z07", "200601021504Z0700", "200601021504Z07", "2006010215Z0700", "2006010215Z07"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// fileTime is the time that many tenths of microseconds after 1601.
func fileTime(n int64) time.Time {
	const perSecond, from1601To1970 = 10_000_000, 11_644_473_600
	return time.Unix(n/perSecond-from1601To1970, n%perSecond*100).UTC()
}

func days(n int64) time.Time {
	const seconds = 24 * 60 * 60
	if n > math.MaxInt32 { // a year that no clock shows
		n = math.MaxInt32
	}
	return time.Unix(n*seconds, 0).UTC()
}

// passwordTime reads the time of a password in any form that directories use; zero for never. Numbers tell by their size
// whether they are days (shadowLastChange), seconds (sambaPwdLastSet) or tenths of microseconds (pwdLastSet).
func passwordTime(text string) (at time.Time, readable bool) {
	const longestDays, longestSeconds = 1_000_000, 100_000_000_000
	if at, ok := generalized(text); ok {
		return at, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, false
	case n <= 0:
		return time.Time{}, true
	case n < longestDays:
		return days(n), true
	case n < longestSeconds:
		return time.Unix(n, 0).UTC(), true
	}
	return fileTime(n), true
}
