package middleware

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/errorpage"
)

// recovered answers with a page when a handler panics, and logs the stack.
// http.ErrAbortHandler is the wish to cut the connection, and goes through.
func recovered(log zerolog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler {
				panic(value)
			}
			rec := FromContext(r.Context())
			rec.Fail(fmt.Errorf("panic: %v", value), "this is a defect of the program; please report it with the stack")
			rec.Panic = true
			log.Error().Str("request_id", rec.ID).Str("panic", fmt.Sprint(value)).Bytes("stack", debug.Stack()).Msg("a handler panicked")
			if rec.begun {
				panic(http.ErrAbortHandler) // a cut answer must not look like a complete one
			}
			errorpage.Write(w, r, errorpage.Page{
				Status:    http.StatusInternalServerError,
				Title:     "Something went wrong",
				Text:      "The server could not answer this request. The fault is on the server's side and has been noted there.",
				RequestID: rec.ID,
			})
		}()
		next.ServeHTTP(w, r)
	})
}
