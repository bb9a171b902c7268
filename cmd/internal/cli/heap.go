package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is the size in bytes up to which the heap grows before it is collected,
// however little of it is in use.
const heapFloor = 24 << 20

// floor keeps the garbage collector from running many times a second while the heap is
// small. A heap of which more than half of the floor is in use is collected as ever, so that
// what floods of requests cost stays the same. GOMEMLIMIT goes first.
type floor struct {
	size    uint64
	percent int // as last set
	stop    <-chan struct{}
	samples [3]metrics.Sample
}

// keepFloor sets the percentage of the collector anew behind each collection, until stop is
// closed.
func keepFloor(size uint64, stop <-chan struct{}) {
	f := &floor{size: size, percent: 100, stop: stop}
	f.samples[0].Name = "/gc/heap/live:bytes"
	f.samples[1].Name = "/gc/scan/stack:bytes"
	f.samples[2].Name = "/gc/scan/globals:bytes"
	f.adjust()
}

// adjust is called once in each cycle: a cleanup runs when its object was collected.
func (f *floor) adjust() {
	select {
	case <-f.stop:
		return
	default:
	}
	metrics.Read(f.samples[:])
	live := f.samples[0].Value.Uint64()
	grows := live + f.samples[1].Value.Uint64() + f.samples[2].Value.Uint64() // what the percentage is of
	const usual, most, step = 100, 600, 20                                    // setting it stops the program for a moment
	percent := usual
	if live < f.size && grows > 0 {
		percent = max(usual, int(min((f.size-live)*100/grows, most))/step*step)
	}
	if percent != f.percent {
		f.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(&struct{ _ *floor }{}, (*floor).adjust, f)
}
