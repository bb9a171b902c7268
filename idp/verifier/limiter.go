package verifier

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostCallers bounds how many callers are counted. Beyond it the one who was
// silent longest is forgotten.
const mostCallers = 1 << 14

// limiter bounds how often each caller may ask.
type limiter struct {
	now    func() time.Time
	perSec int

	mu      sync.Mutex
	callers map[netip.Prefix]*list.Element // of *caller
	recent  *list.List                     // who asked last stands in front
}

type caller struct {
	network netip.Prefix
	bucket  *rate.Limiter
}

func newLimiter(perSecond int, now func() time.Time) *limiter {
	return &limiter{now: now, perSec: perSecond, callers: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// allow counts a request, and says whether it is within the limit.
func (l *limiter) allow(client netip.Addr) bool {
	network := callerNetwork(client)
	l.mu.Lock()
	element, ok := l.callers[network]
	if ok {
		l.recent.MoveToFront(element)
	} else {
		element = l.recent.PushFront(&caller{network, rate.NewLimiter(rate.Limit(l.perSec), l.perSec)})
		l.callers[network] = element
		l.trim()
	}
	bucket := element.Value.(*caller).bucket
	l.mu.Unlock()
	return bucket.AllowN(l.now(), 1)
}

func (l *limiter) trim() {
	if len(l.callers) <= mostCallers {
		return
	}
	last := l.recent.Back()
	l.recent.Remove(last)
	delete(l.callers, last.Value.(*caller).network)
}

// callerNetwork is what counts as one caller: an address of IPv4, or the /64
// that one machine has of IPv6. Unknown callers share one limit.
func callerNetwork(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 32
	if client.Is6() {
		bits = 64
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
