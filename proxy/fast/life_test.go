package fast

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"
)

// closer counts how often it was closed.
type closer int

func (c *closer) Close() error {
	*c++
	return nil
}

// TestLife: the context of a request is one as package context makes them, whenever it is
// first asked for its end, and one thing is closed with it.
func TestLife(t *testing.T) {
	t.Parallel()
	type key struct{}
	for name, early := range map[string]bool{"asked before its end": true, "asked after its end": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := new(life)
			l.Context.Context = context.WithValue(t.Context(), key{}, "value")
			var kept, closed, second closer
			if !l.CloseAtEnd(&kept) || !l.Keep() || !l.CloseAtEnd(&closed) || l.CloseAtEnd(&second) {
				t.Error("not one thing at a time is closed with it")
			}
			var child context.Context
			called := make(chan struct{})
			if early {
				var cancel context.CancelFunc
				child, cancel = context.WithTimeout(context.WithValue(l, key{}, "child's"), time.Hour)
				defer cancel()
				stopped := context.AfterFunc(l, func() { t.Error("a function that was stopped is called") })
				stopped()
				context.AfterFunc(l, func() { close(called) })
				select {
				case <-l.Done():
					t.Error("it has ended")
				default:
				}
			}
			if l.Err() != nil || context.Cause(l) != nil {
				t.Errorf("before the end: %v", l.Err())
			}
			l.end()
			l.end()
			if !early {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(l)
				defer cancel()
				context.AfterFunc(l, func() { close(called) })
			}
			<-l.Done()
			<-child.Done()
			<-called
			for _, ctx := range []context.Context{l, child} {
				if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), context.Canceled) {
					t.Errorf("at the end: %v, %v", ctx.Err(), context.Cause(ctx))
				}
			}
			if l.Value(key{}) != "value" {
				t.Error("a value of the connection is lost")
			}
			if kept != 0 || closed != 1 || second != 0 || l.Keep() {
				t.Errorf("closed: %d, %d, %d", kept, closed, second)
			}
			var late closer
			if !l.CloseAtEnd(&late) || late != 1 {
				t.Error("what comes after the end is not closed")
			}
		})
	}
}

// TestParseTarget: an ordinary target is the URL that net/url makes of it.
func TestParseTarget(t *testing.T) {
	t.Parallel()
	for c := range 128 {
		for _, format := range []string{"/a%cb", "/%c", "/a?%c", "/a%%2%cb", "/%c?a?b", "/a%c%%41?"} {
			target := fmt.Sprintf(format, c)
			if !ordinaryTarget(target) {
				continue
			}
			var got url.URL
			err := parseTarget(&got, target)
			if want, failed := url.ParseRequestURI(target); failed != nil || err != nil || got != *want {
				t.Errorf("%q: %#v, %v, want %#v, %v", target, got, err, want, failed)
			}
		}
	}
}
