package servers

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"time"
)

// Fault is a kind of error of one server, for measuring.
type Fault string

// The kinds of errors.
const (
	FaultTimeout    Fault = "timeout"     // no answer in time
	FaultUnreached  Fault = "unreachable" // no connection: refused, no route
	FaultTLS        Fault = "tls"         // no encryption, or a certificate that is not trusted
	FaultConnection Fault = "connection"  // closed or broken in the middle
	FaultService    Fault = "service"     // the service account is refused
	FaultServer     Fault = "server"      // the server says that it cannot
)

// Faults are all kinds.
func Faults() []Fault {
	return []Fault{FaultTimeout, FaultUnreached, FaultTLS, FaultConnection, FaultService, FaultServer}
}

func faultOf(err error) Fault {
	var (
		encryption *tlsError
		operation  *net.OpError
	)
	switch {
	case errors.Is(err, errServiceRefused):
		return FaultService
	case errors.Is(err, context.DeadlineExceeded):
		return FaultTimeout
	case errors.As(err, &encryption):
		return FaultTLS
	case answered(err):
		return FaultServer
	case errors.As(err, &operation) && operation.Op == "dial":
		return FaultUnreached
	}
	return FaultConnection
}

// LatencyBounds are the upper bounds of the counts in Use.Latency, in seconds.
func LatencyBounds() []float64 { return []float64{0.002, 0.005, 0.02, 0.1, 0.5, 2, 5} }

// Use is what one server does of one kind: searches as the service account, or binds.
type Use struct {
	InUse, Idle int // connections
	// Done counts operations since the start, those that failed and connections that could not be made as well; Spent is how long
	// they took together, and Latency counts those that took at most each of LatencyBounds.
	Done    uint64
	Spent   time.Duration
	Latency []uint64
}

// ServerStats are the figures of one address.
type ServerStats struct {
	URL             string // as it is configured, or of the SRV record
	Address         string // IP address and port
	Up              bool
	Searches, Binds Use
	Faults          map[Fault]uint64 // since the start
}

// Stats are the figures of a Set.
type Stats struct {
	Servers []ServerStats // in the order in which they are tried
	// WaitingSearches and WaitingBinds are operations that wait for one of the bounded connections.
	WaitingSearches, WaitingBinds int
}

// Stats returns the figures now.
func (s *Set) Stats() Stats {
	stats := Stats{WaitingSearches: int(s.searches.waiting.Load()), WaitingBinds: int(s.binds.waiting.Load())}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, from := range s.sources {
		for _, srv := range from.servers {
			one := ServerStats{URL: srv.url, Address: srv.address, Up: !srv.down}
			one.Searches, one.Faults = srv.figures.use(searchConn)
			one.Binds, _ = srv.figures.use(bindConn)
			one.Searches.Idle, one.Binds.Idle = srv.pools[searchConn].len(), srv.pools[bindConn].len()
			stats.Servers = append(stats.Servers, one)
		}
	}
	return stats
}

// figures count what one server does.
type figures struct {
	mu      sync.Mutex
	uses    [purposes]Use
	usually [purposes]time.Duration // a running mean
	faults  map[Fault]uint64
}

func (f *figures) use(p purpose) (Use, map[Fault]uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	use := f.uses[p]
	use.Latency = append(make([]uint64, 0, len(LatencyBounds())), use.Latency...)
	return use, maps.Clone(f.faults)
}

func (f *figures) begin(p purpose) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses[p].InUse++
}

// end counts an operation that began.
func (f *figures) end(p purpose, took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses[p].InUse--
	f.countLocked(p, took, err)
	if err == nil || answered(err) {
		const weight = 8
		if f.usually[p] == 0 { // the first is all that is known
			f.usually[p] = took
		}
		f.usually[p] += (took - f.usually[p]) / weight
	}
}

// failed counts an operation that could not begin.
func (f *figures) failed(p purpose, took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countLocked(p, took, err)
}

func (f *figures) countLocked(p purpose, took time.Duration, err error) {
	use := &f.uses[p]
	use.Done++
	use.Spent += took
	bounds := LatencyBounds()
	if use.Latency == nil {
		use.Latency = make([]uint64, len(bounds))
	}
	for i, bound := range bounds {
		if took.Seconds() <= bound {
			use.Latency[i]++
		}
	}
	if err == nil || !unavailable(err) || errors.Is(err, context.Canceled) {
		return
	}
	if f.faults == nil {
		f.faults = make(map[Fault]uint64)
	}
	f.faults[faultOf(err)]++
}

// usual is how long an answer takes.
func (f *figures) usual(p purpose) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usually[p]
}
