package cli

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/config"

	"github.com/rs/zerolog"
)

// newLogger returns the program's logger, which writes to standard error.
func newLogger(sh shell, c config.Log) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // config knows better
		level = zerolog.InfoLevel
	}
	var out io.Writer = printableLines{sh.stderr}
	if c.Format == config.FormatConsole {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.DateTime + " -07:00", NoColor: !colourful(sh)}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// colourful reports whether standard error is a terminal whose user did not refuse
// colours.
func colourful(sh shell) bool {
	file, ok := sh.stderr.(*os.File)
	if !ok || slices.ContainsFunc(sh.environ, func(v string) bool { return len(v) > 9 && v[:9] == "NO_COLOR=" }) {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printableLines writes log lines so that a terminal shows them as they are: what is
// not printable in them, the second half of the control characters and what turns the
// direction of text among it, becomes a JSON escape. Clients send such text, and so do
// websites and directories; zerolog escapes the first half alone.
type printableLines struct{ to io.Writer }

func (w printableLines) Write(line []byte) (int, error) {
	shown := line
	if !plain(line) {
		shown = make([]byte, 0, len(line)+16)
		for _, c := range string(line) {
			switch {
			case c < 0x7f || unicode.IsPrint(c):
				shown = utf8.AppendRune(shown, c)
			case c > 0xffff:
				high, low := utf16.EncodeRune(c)
				shown = fmt.Appendf(shown, `\u%04x\u%04x`, high, low)
			default:
				shown = fmt.Appendf(shown, `\u%04x`, c)
			}
		}
	}
	if _, err := w.to.Write(shown); err != nil {
		return 0, err
	}
	return len(line), nil
}

// plain reports whether a line holds no byte from 0x7f on, as nearly all do. It looks
// at eight at a time: adding 1 sets the high bit of 0x7f.
func plain(line []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(line) >= 8; line = line[8:] {
		if eight := binary.LittleEndian.Uint64(line); (eight|(eight+ones))&highs != 0 {
			return false
		}
	}
	for _, b := range line {
		if b >= 0x7f {
			return false
		}
	}
	return true
}
