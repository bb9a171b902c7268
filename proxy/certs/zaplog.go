package certs

import (
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZapLogger returns a zap logger, the only kind certmagic takes, that writes
// to log.
//
// Every line goes one level down: an info line of certmagic is one step of an
// order ("acquiring lock"), hence debug here, and its errors are logged once more
// by this package, at their proper level and with a hint.
func newZapLogger(log zerolog.Logger) *zap.Logger {
	return zap.New(bridge{log: log})
}

// bridge is a zapcore.Core that forwards to zerolog.
type bridge struct {
	log    zerolog.Logger
	fields []zapcore.Field
}

var _ zapcore.Core = bridge{}

// Enabled keeps the many debug lines of a handshake cheap.
func (b bridge) Enabled(level zapcore.Level) bool {
	l := bridgeLevel(level)
	return l >= b.log.GetLevel() && l >= zerolog.GlobalLevel()
}

// With returns a core that adds fields to each of its lines.
func (b bridge) With(fields []zapcore.Field) zapcore.Core {
	joined := make([]zapcore.Field, 0, len(b.fields)+len(fields))
	b.fields = append(append(joined, b.fields...), fields...)
	return b
}

// Check adds the core to the entry when its level is wanted.
func (b bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(entry.Level) {
		return checked.AddCore(entry, b)
	}
	return checked
}

// Write writes one line. It never fails; zerolog reports its own write errors.
func (b bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range b.fields {
		f.AddTo(enc)
	}
	for _, f := range fields {
		f.AddTo(enc)
	}
	hideKeys(enc.Fields)
	event := b.log.WithLevel(bridgeLevel(entry.Level)).Fields(enc.Fields)
	if entry.LoggerName != "" {
		event = event.Str("logger", entry.LoggerName)
	}
	event.Msg("certmagic: " + entry.Message)
	return nil
}

// Sync does nothing: zerolog does not buffer.
func (bridge) Sync() error { return nil }

func bridgeLevel(level zapcore.Level) zerolog.Level {
	switch {
	case level <= zapcore.DebugLevel:
		return zerolog.TraceLevel
	case level == zapcore.InfoLevel:
		return zerolog.DebugLevel
	case level == zapcore.WarnLevel:
		return zerolog.InfoLevel
	case level == zapcore.ErrorLevel:
		return zerolog.WarnLevel
	default: // what zap would panic or exit on
		return zerolog.ErrorLevel
	}
}

// hideKeys is the second line of defence: no version of certmagic known to us
// logs key material, and if one ever does, it stops here.
func hideKeys(fields map[string]any) {
	for name, value := range fields {
		text, ok := value.(string)
		if !ok {
			text = fmt.Sprintf("%s", value)
		}
		if strings.Contains(text, "PRIVATE KEY") {
			fields[name] = "[hidden]"
		}
	}
}
