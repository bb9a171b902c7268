package website

import (
	"fmt"
	"net/http"
	"time"
)

// serveBeats streams the time, one event a tick (HTML standard, server-sent events), until the visitor leaves or the
// server stops. A proxy that kept answers back to fill a buffer would make the clock stand still.
func (w *Website) serveBeats(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(rw)
	ticker := time.NewTicker(w.config.Tick)
	defer ticker.Stop()
	for {
		if _, err := fmt.Fprintf(rw, "data: %s\n\n", w.config.Now().UTC().Format(time.RFC3339Nano)); err != nil {
			return
		}
		if err := stream.Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
