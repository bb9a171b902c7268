package certs

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/zap"
)

func TestBridge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		write func(*zap.Logger)
		want  string
	}{
		"error": {
			func(l *zap.Logger) { l.Error("no order", zap.Error(errors.New("down")), zap.Int("attempt", 2)) },
			`{"level":"warn","attempt":2,"error":"down","message":"certmagic: no order"}`,
		},
		"warn":  {func(l *zap.Logger) { l.Warn("w") }, `{"level":"info","message":"certmagic: w"}`},
		"info":  {func(l *zap.Logger) { l.Info("i") }, `{"level":"debug","message":"certmagic: i"}`},
		"debug": {func(l *zap.Logger) { l.Debug("d") }, `{"level":"trace","message":"certmagic: d"}`},
		"name and context": {
			func(l *zap.Logger) {
				l.Named("obtain").With(zap.String("a", "1")).With(zap.Strings("b", []string{"2", "3"})).Info("i", zap.Bool("c", true))
			},
			`{"level":"debug","a":"1","b":["2","3"],"c":true,"logger":"obtain","message":"certmagic: i"}`,
		},
		"duration and namespace": {
			func(l *zap.Logger) { l.Info("i", zap.Duration("d", time.Second), zap.Namespace("n"), zap.Int("x", 1)) },
			`{"level":"debug","d":1000,"n":{"x":1},"message":"certmagic: i"}`,
		},
		"key material": {
			func(l *zap.Logger) {
				l.Info("i", zap.String("k", "-----BEGIN EC PRIVATE KEY-----\nabc"), zap.ByteString("l", []byte("-----BEGIN PRIVATE KEY-----\nabc")),
					zap.Namespace("n"), zap.Any("m", map[string]string{"k": "-----BEGIN PRIVATE KEY-----"}))
			},
			`{"level":"debug","k":"[hidden]","l":"[hidden]","n":"[hidden]","message":"certmagic: i"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			test.write(newZapLogger(zerolog.New(&text).Level(zerolog.TraceLevel)))
			if diff := cmp.Diff(test.want, strings.TrimSpace(text.String())); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBridgeLevel: what the log's level leaves out is not even encoded.
func TestBridgeLevel(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := newZapLogger(zerolog.New(&text).Level(zerolog.WarnLevel))
	logger.Info("i")
	logger.Warn("w")
	logger.Error("e")
	if got := strings.Count(text.String(), "\n"); got != 1 || !strings.Contains(text.String(), "certmagic: e") {
		t.Errorf("log:\n%s", text.String())
	}
	if logger.Core().Enabled(zap.DebugLevel) {
		t.Error("debug is enabled")
	}
}

// A child logger's fields do not appear in its siblings' lines.
func TestBridgeSiblings(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	parent := newZapLogger(zerolog.New(&text)).With(zap.Int("p", 1))
	one, two := parent.With(zap.Int("one", 1)), parent.With(zap.Int("two", 2))
	one.Info("a")
	two.Info("b")
	want := `{"level":"debug","one":1,"p":1,"message":"certmagic: a"}
{"level":"debug","p":1,"two":2,"message":"certmagic: b"}
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
