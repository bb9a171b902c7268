package servers

import (
	"context"
	"crypto/tls"
	"errors"
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

func faultOf(err error) Fault {
	var (
		encryption *tlsError
		record     tls.RecordHeaderError
		operation  *net.OpError
	)
	switch {
	case errors.Is(err, errServiceRefused):
		return FaultService
	case errors.Is(err, context.DeadlineExceeded):
		return FaultTimeout
	case errors.As(err, &encryption), errors.As(err, &record):
		return FaultTLS
	case answered(err):
		return FaultServer
	case errors.As(err, &operation) && operation.Op == "dial":
		return FaultUnreached
	}
	return FaultConnection
}

// figures count what one server does.
type figures struct {
	mu      sync.Mutex
	inUse   [purposes]int
	done    [purposes]int
	spent   [purposes]time.Duration
	usually [purposes]time.Duration // a running mean
	faults  map[Fault]int
}

func (f *figures) begin(p purpose) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inUse[p]++
}

// end counts an operation that began.
func (f *figures) end(p purpose, took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inUse[p]--
	f.countLocked(p, took, err)
	if err == nil || answered(err) {
		const weight = 8
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
	f.done[p]++
	f.spent[p] += took
	if err == nil || !unavailable(err) || errors.Is(err, context.Canceled) {
		return
	}
	if f.faults == nil {
		f.faults = make(map[Fault]int)
	}
	f.faults[faultOf(err)]++
}

// usual is how long an answer takes.
func (f *figures) usual(p purpose) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usually[p]
}
