package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for something that happens soon.
const patience = 60 * time.Second

func TestCheck(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"-check"}, &out, &errOut); code != 0 || errOut.Len() > 0 {
		t.Fatalf("exit code %d\n%s%s", code, &out, &errOut)
	}
	if ticks := strings.Count(out.String(), "✓ "); ticks != 30 || strings.Contains(out.String(), "✗") {
		t.Errorf("%d steps are told:\n%s", ticks, &out)
	}
	for _, secret := range []string{"wonderland", "__Host-persona="} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

// screen collects what the demo prints while it runs.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	full chan struct{} // closed once the last line is there
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if strings.Contains(string(p), "Ctrl-C") {
		close(s.full)
	}
	return len(p), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestShow starts the demo, does what its screen says, and stops it.
func TestShow(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &screen{full: make(chan struct{})}
	var errOut bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-https", "127.0.0.1:0", "-http", "127.0.0.1:0", "-shop", "127.0.0.1:0"}, out, &errOut)
	}()
	select {
	case <-out.full:
	case code := <-ended:
		t.Fatalf("ended with %d: %s", code, &errOut)
	case <-time.After(patience):
		t.Fatal("no screen")
	}
	for _, wanted := range []string{"https://example.localhost:", "https://shop.localhost:", "/persona/", "alice", "wonderland", "sales@example.localhost", "ca.pem", "persona.yaml", "/readyz"} {
		if !strings.Contains(out.String(), wanted) {
			t.Errorf("the screen lacks %q", wanted)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines > 30 {
		t.Errorf("%d lines are more than a screen", lines)
	}
	t.Run("the curl line works", func(t *testing.T) { tryCurl(t, out.String()) })

	folder := regexp.MustCompile(`removes (.*)\.\n`).FindStringSubmatch(out.String())[1]
	cancel()
	select {
	case code := <-ended:
		if code != 0 || errOut.Len() > 0 {
			t.Errorf("ended with %d: %s", code, &errOut)
		}
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", folder, err)
	}
}

// tryCurl runs the printed line as it stands.
func tryCurl(t *testing.T, screen string) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	line := regexp.MustCompile(`(?m)^\s*(curl .*)$`).FindStringSubmatch(screen)
	if line == nil {
		t.Fatalf("no curl line in\n%s", screen)
	}
	words := strings.Fields(line[1])
	answer, err := exec.CommandContext(t.Context(), words[0], append(words[1:], "--silent", "--fail")...).Output()
	if err != nil || !strings.HasPrefix(string(answer), `{"public-key":`) {
		t.Errorf("%v: %s", err, answer)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "usage:"},
		{[]string{"-nonsense"}, 2, "usage:"},
		{[]string{"serve"}, 2, `unknown argument "serve"`},
		{[]string{"-https", "nowhere"}, 1, "-https nowhere"},
		{[]string{"-check", "-http", "127.0.0.1:x"}, 1, "-http 127.0.0.1:x"},
		{[]string{"-check", "-shop", "nowhere"}, 1, "-shop nowhere"},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), test.args, &out, &errOut); code != test.code || !strings.Contains(errOut.String(), test.says) {
			t.Errorf("%q: exit code %d, %s", test.args, code, &errOut)
		}
	}
}
