package upstream

import (
	"context"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// sessionEnded is why a tunnel or an event stream was ended.
const sessionEnded = "the session has ended"

// endWith calls end when the session of a visit ends, unless stop was called before. stop
// reports whether end was called; it may be called more than once, by one goroutine.
func endWith(ctx context.Context, v *middleware.Visit, end func()) (stop func() bool) {
	if v == nil || v.Ended == nil {
		return func() bool { return false }
	}
	ctx, over := context.WithCancel(context.WithoutCancel(ctx)) // a tunnel outlives its request
	ended, outcome := v.Ended(ctx), make(chan bool, 1)
	go func() {
		select {
		case <-ended:
			end()
			outcome <- true
		case <-ctx.Done():
			outcome <- false
		}
	}()
	stopped, called := false, false
	return func() bool {
		if !stopped {
			stopped = true
			over()
			called = <-outcome
		}
		return called
	}
}

// visited adds to the fields of an answer what belongs to a visit. It uses the memory of
// what it is given.
func visited(fields wire.Fields, v *middleware.Visit) wire.Fields {
	if v.Private || len(v.SetCookies) > 0 { // nor may a shared cache give our cookie to another
		fields = field.Private(fields)
	}
	if len(v.SetCookies) == 0 {
		return fields
	}
	// In front, so that a website may replace a cookie of its own that is expired.
	return append(setCookies(v), fields...)
}

// setCookies returns the fields of an answer that set the cookies of a visit.
func setCookies(v *middleware.Visit) wire.Fields {
	var fields wire.Fields
	if v != nil {
		for _, line := range v.SetCookies {
			fields = append(fields, wire.Field{Name: "Set-Cookie", Value: line})
		}
	}
	return fields
}
