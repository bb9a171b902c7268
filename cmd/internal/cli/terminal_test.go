package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// TestInterrupted ends the context while an answer is awaited.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	typed, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var screen bytes.Buffer
	sh := shell{
		stdin: &onRead{Reader: typed, then: cancel}, stdout: io.Discard, stderr: &screen,
		isTerminal: func(io.Reader) bool { return true },
	}
	if code := run(ctx, sh, []string{"setup"}); code != exitUsage || !strings.Contains(screen.String(), "persona: stopped before all was answered, so nothing was done") {
		t.Errorf("exit code %d:\n%s", code, &screen)
	}
}

// TestEndOfInput ends the input before an answer.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	sh := shell{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &screen, isTerminal: func(io.Reader) bool { return true }}
	if code := run(t.Context(), sh, []string{"setup"}); code != exitUsage || !strings.Contains(screen.String(), "persona: the input ended before all was answered, so nothing was done") {
		t.Errorf("exit code %d:\n%s", code, &screen)
	}
}

// onRead calls then before it reads.
type onRead struct {
	io.Reader
	then func()
}

func (r *onRead) Read(p []byte) (int, error) {
	r.then()
	return r.Reader.Read(p)
}

// TestLongAnswer refuses a line that is longer than any answer.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	sh := shell{
		stdin: strings.NewReader(strings.Repeat("x", maxAnswer+1) + "\n"), stdout: io.Discard, stderr: &screen,
		isTerminal: func(io.Reader) bool { return true },
	}
	if code := run(t.Context(), sh, []string{"setup"}); code != exitUsage || !strings.Contains(screen.String(), "it is longer than 4096 bytes") {
		t.Errorf("exit code %d:\n%s", code, &screen)
	}
}
