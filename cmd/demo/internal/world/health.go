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
)

const (
	healthDeadline = 30 * time.Second      // for the domain key, made in the background at the first start
	pollInterval   = 20 * time.Millisecond // between two looks for it
)

// awaitHealth waits until the sidecar says that it has its keys and reaches the directory.
func (w *World) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthDeadline, errors.New("it took too long"))
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		missing, err := unhealthy(ctx, client, w.AdminURL()+"/readyz")
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
func unhealthy(ctx context.Context, client *http.Client, url string) (missing []string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the sidecar's health: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err // names the request already
	}
	defer func() { _ = response.Body.Close() }() // was read
	var health struct {
		Parts map[string]struct {
			State string `json:"state"`
		} `json:"parts"`
	}
	if err := json.NewDecoder(response.Body).Decode(&health); err != nil {
		return nil, fmt.Errorf("reading the sidecar's health: %w", err)
	}
	return slices.DeleteFunc([]string{"keys", "directory company"}, func(part string) bool {
		return health.Parts[part].State == "ok"
	}), nil
}
