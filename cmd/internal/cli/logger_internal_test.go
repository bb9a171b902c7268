package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// TestPlain: one byte that is not plain is found wherever it stands.
func TestPlain(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		line := make([]byte, length)
		for c := range 256 {
			for i := range line {
				for j := range line {
					line[j] = ' '
				}
				line[i] = byte(c)
				if plain(line) != (c < 0x7f) {
					t.Fatalf("byte %#x at %d of %d", c, i, length)
				}
			}
		}
	}
}

// TestLogLinesAreGathered: a stream of lines takes few writes, none is lost, all keep their
// order, and one that matters waits for nothing.
func TestLogLinesAreGathered(t *testing.T) {
	t.Parallel()
	writes := make(chan string, 100)
	log, end := newLogger(shell{stderr: writer(func(p []byte) { writes <- string(p) })}, config.Log{Level: "info", Format: "json"})
	message := func(text string) string {
		var messages []string
		for line := range strings.Lines(text) {
			var fields struct{ Message string }
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			messages = append(messages, fields.Message)
		}
		return strings.Join(messages, " ")
	}
	expect := func(what, want string) {
		t.Helper()
		if got := message(<-writes); got != want {
			t.Errorf("%s: %q was written, want %q", what, got, want)
		}
	}
	log.Info().Msg("1")
	expect("after a silence", "1")
	log.Info().Msg("2")
	log.Info().Msg("3")
	log.Warn().Msg("4")
	expect("a warning", "2 3 4")
	log.Info().Msg("5")
	expect("after a moment", "5")

	long := strings.Repeat("x", mostGathered/4)
	for range 5 { // the first may be gathered or not
		log.Info().Msg(long)
	}
	if got := <-writes; len(got) < len(long) || len(got) > mostGathered+len(long)+100 {
		t.Errorf("a write has %d bytes", len(got))
	}
	log.Info().Msg("6")
	end()
	log.Info().Msg("7")
	close(writes)
	rest := ""
	for w := range writes {
		rest += w
	}
	if got := message(rest); !strings.HasSuffix(got, " 6 7") {
		t.Errorf("at the end: %.100q was written", got)
	}
}

// writer calls a function for each write.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
