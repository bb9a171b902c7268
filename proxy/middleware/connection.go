package middleware

import (
	"context"
	"net/http"
	"sync"
)

// Connection is one connection of a client, for what lasts as long as it: a
// connection to a website that carries the client's login. Requests over HTTP/2
// have none: many persons' requests may share it.
type Connection struct {
	mu    sync.Mutex
	ended bool
	kept  map[any]func()

	refused *Refusal
}

// Refusal is why a request is answered 400 by the chain itself.
type Refusal struct {
	Code   string // of the page: "bad_request" or "bad_target"
	Reason string // for the log
}

// Refuse tells that the last request of the connection was malformed. The server puts
// one that asks for "*" in its place, and closes the connection behind the answer.
func (c *Connection) Refuse(why Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = &why
}

// refusal returns what Refuse was given when r is the request in question.
func (c *Connection) refusal(r *http.Request) *Refusal {
	if c == nil || r.RequestURI != "*" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Keep holds something until the connection ends, and calls end then: at once when
// it has ended already. A second value under the same key ends the first.
func (c *Connection) Keep(key any, end func()) {
	c.mu.Lock()
	replaced := c.kept[key]
	ended := c.ended
	if !ended {
		if c.kept == nil {
			c.kept = make(map[any]func())
		}
		c.kept[key] = end
	}
	c.mu.Unlock()
	if replaced != nil {
		replaced()
	}
	if ended {
		end()
	}
}

// Holds reports whether something is held under a key.
func (c *Connection) Holds(key any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, held := c.kept[key]
	return held
}

// Drop forgets what is held under a key, without calling its end.
func (c *Connection) Drop(key any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
}

// End calls what Keep was given. A server calls it when the connection is closed.
func (c *Connection) End() {
	c.mu.Lock()
	kept := c.kept
	c.ended, c.kept = true, nil
	c.mu.Unlock()
	for _, end := range kept {
		end()
	}
}

type connectionKey struct{}

// WithConnection returns a context that knows the client's connection.
func WithConnection(ctx context.Context, c *Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// ConnectionOf returns the client's connection, nil when the server did not name it.
func ConnectionOf(ctx context.Context) *Connection {
	if c, ok := ctx.(interface{ room() *Context }); ok && c.room().Connection != nil {
		return c.room().Connection
	}
	c, _ := ctx.Value(connectionKey{}).(*Connection)
	return c
}
