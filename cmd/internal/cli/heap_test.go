package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// A small heap grows up to the floor, and a large one is collected as ever.
// It runs alone, because there is one collector.
func TestKeepFloor(t *testing.T) {
	stop := make(chan struct{})
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer close(stop)
	const size = 64 << 20
	keepFloor(size, stop)
	goal := func() uint64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	apptest.Eventually(t, "the heap may grow up to the floor, and hardly further", func() bool {
		g := goal()
		return g > size/4 && g < size*9/8
	})
	held := make([]byte, size*3/4)
	apptest.Eventually(t, "a large heap grows to twice its size", func() bool {
		g := goal()
		return g >= uint64(2*len(held)) && g < uint64(3*len(held))
	})
	runtime.KeepAlive(held)
}
