package fast

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"persona-sidecar/proxy/middleware"
)

// life is the context of a request. It is cancelled when the client leaves, and when the
// request is over. Most requests are over before anything waits for that, so what package
// context needs for it is made when it is asked for.
type life struct {
	middleware.Context

	full atomic.Pointer[cancellable]

	mu     sync.Mutex
	over   bool
	closes io.Closer // at the end; see CloseAtEnd
}

type cancellable struct {
	context.Context
	cancel context.CancelFunc
}

// Done implements context.Context.
func (l *life) Done() <-chan struct{} {
	if full := l.full.Load(); full != nil {
		return full.Done()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full.Load()
	if full == nil {
		full = new(cancellable)
		full.Context, full.cancel = context.WithCancel(&l.Context)
		if l.over {
			full.cancel()
		}
		l.full.Store(full)
	}
	return full.Done()
}

// Err implements context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. Package context asks it for the cancellation as well.
func (l *life) Value(key any) any {
	if full := l.full.Load(); full != nil {
		return full.Value(key)
	}
	return l.Context.Value(key)
}

// CloseAtEnd closes c when the context is cancelled, at once if it is, as a function of
// context.AfterFunc would. It returns false, and closes nothing, while another is waiting for
// the same.
func (l *life) CloseAtEnd(c io.Closer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closes != nil:
		return false
	case l.over:
		_ = c.Close() // an error is of no use to anything
	}
	l.closes = c
	return true
}

// Keep ends what CloseAtEnd began, and reports whether it was not too late.
func (l *life) Keep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closes = nil
	return !l.over
}

// end cancels the context.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over = true
	if full := l.full.Load(); full != nil {
		full.cancel()
	}
	if l.closes != nil {
		_ = l.closes.Close() // an error is of no use to anything
	}
}
