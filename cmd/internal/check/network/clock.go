package network

import (
	"net/http"
	"net/netip"
	"time"

	"persona-sidecar/cmd/internal/check/report"
)

// dated is the difference between this clock and that of a server.
type dated struct {
	source string
	ahead  time.Duration
}

// Clock compares the clock of this machine with those of servers. It is not safe for
// concurrent use.
type Clock struct {
	Now func() time.Time
	// Own reports whether a host is ours, so that its clock says nothing.
	Own func(host string) bool

	dates []dated
}

// Note keeps the date in the answer of a server.
func (c *Clock) Note(response *http.Response) {
	host := response.Request.URL.Hostname()
	ip, err := netip.ParseAddr(host)
	if c.Own(host) || host == "localhost" || err == nil && ip.IsLoopback() {
		return // one clock cannot be compared with itself
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil || response.Header.Get("Age") != "" { // what a cache kept is old
		return
	}
	// A Date is cut to whole seconds: half a second is the best guess.
	c.dates = append(c.dates, dated{host, c.Now().Sub(theirs.Add(time.Second / 2))})
}

const (
	// slowClock is the difference that may still be the time an answer took.
	slowClock = 5 * time.Second
	// wrongClock: a certificate is back-dated 10 s, and the historic verifiers
	// allowed no more.
	wrongClock = 10 * time.Second
)

// Check compares the clock of this machine with what others said. Of several, one
// that agrees is enough: the rest are wrong themselves.
func (c *Clock) Check() report.Finding {
	if len(c.dates) == 0 {
		return report.Skip("no other server told the time")
	}
	best := c.dates[0]
	for _, d := range c.dates[1:] {
		if d.ahead.Abs() < best.ahead.Abs() {
			best = d
		}
	}
	const hint = "set the clock and keep it right (NTP): certificates from the future are refused, and so are those that ended"
	off := best.ahead.Abs()
	words := "this clock is " + off.Round(time.Second).String() + " behind"
	if best.ahead > 0 {
		words = "this clock is " + off.Round(time.Second).String() + " ahead of"
	}
	switch {
	case off > wrongClock:
		return report.Fail(hint, "%s %s", words, best.source)
	case off > slowClock:
		return report.Warn(hint, "%s %s", words, best.source)
	}
	return report.Pass("agrees with %s", best.source)
}
