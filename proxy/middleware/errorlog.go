package middleware

import (
	"bytes"
	"log"

	"github.com/rs/zerolog"
)

// ErrorLog is a logger for http.Server and httputil.ReverseProxy. What these
// two report is nearly always the weather of the internet (a failed handshake, a
// client that left), so it goes to debug; a panic is an error.
func ErrorLog(to zerolog.Logger, component string) *log.Logger {
	return log.New(bridge{to.With().Str("component", component).Logger()}, "", 0)
}

type bridge struct{ log zerolog.Logger }

func (b bridge) Write(line []byte) (int, error) {
	level := zerolog.DebugLevel
	if bytes.HasPrefix(line, []byte("http: panic ")) {
		level = zerolog.ErrorLevel
	}
	b.log.WithLevel(level).Msg(string(bytes.TrimSpace(line)))
	return len(line), nil
}
