package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/visitor"
)

const (
	healthDeadline = 30 * time.Second      // for the domain key, made in the background at the first start
	pollInterval   = 20 * time.Millisecond // between two looks for it
)

// awaitHealth waits until the sidecar says that it has its keys and reaches the directory.
func (w *World) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthDeadline, errors.New("it took too long"))
	defer cancel()
	client := visitor.Client{HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		missing, err := w.unhealthy(ctx, client)
		if err == nil && len(missing) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case err := <-w.ended:
			return fmt.Errorf("the sidecar ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the sidecar's %s: %w", strings.Join(missing, " and "), errors.Join(context.Cause(ctx), err))
		}
	}
}

// unhealthy asks the admin listener which of the parts that the demo needs are not in order yet.
func (w *World) unhealthy(ctx context.Context, client visitor.Client) (missing []string, err error) {
	answer, err := client.Get(ctx, w.AdminURL()+"/readyz", nil)
	if err != nil {
		return nil, err
	}
	var health struct {
		Parts map[string]struct{ State string }
	}
	if err := json.Unmarshal(answer.Body, &health); err != nil {
		return nil, fmt.Errorf("reading the sidecar's health: %w", err)
	}
	return slices.DeleteFunc([]string{"keys", "directory company"}, func(part string) bool {
		return health.Parts[part].State == "ok"
	}), nil
}
