package cli

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/config"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// newLogger returns the program's logger, which writes to standard error. end writes what
// is gathered, and is called before the program ends; lines that follow are written at once.
func newLogger(sh shell, c config.Log) (log zerolog.Logger, end func()) {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // config knows better
		level = zerolog.InfoLevel
	}
	lines := &lines{to: sh.stderr, direct: c.Format == config.FormatConsole || isTerminal(sh.stderr)}
	lines.flushing = time.AfterFunc(gathering, lines.flush)
	lines.flushing.Stop()
	var out io.Writer = lines
	if c.Format == config.FormatConsole {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.DateTime + " -07:00", NoColor: !colourful(sh)}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger(), lines.end
}

// colourful reports whether standard error is a terminal whose user did not refuse
// colours.
func colourful(sh shell) bool {
	return isTerminal(sh.stderr) && !slices.ContainsFunc(sh.environ, func(v string) bool { return len(v) > 9 && v[:9] == "NO_COLOR=" })
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// What is gathered of the log before it is written: a system call for each line would cost
// a tenth of what a small request does.
const (
	gathering    = 100 * time.Millisecond // from one write to the next
	mostGathered = 32 << 10               // bytes
)

// lines writes the log. A line is written at once after a moment without any, or when it is
// a warning or worse; those that follow in numbers are gathered for a moment. They keep
// their order. A program that ends without end loses what was gathered.
type lines struct {
	to     io.Writer
	direct bool // nothing is gathered

	mu       sync.Mutex
	gathered []byte
	flushing *time.Timer
	waits    bool // for flushing
}

// Write is called for lines whose level is in their text alone.
func (l *lines) Write(line []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel implements zerolog.LevelWriter.
func (l *lines) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	shown := printable(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	switch {
	case l.direct:
		_, err = l.to.Write(shown)
	case !l.waits || level >= zerolog.WarnLevel || len(l.gathered)+len(shown) > mostGathered:
		l.gathered = append(l.gathered, shown...)
		err = l.write()
	default:
		l.gathered = append(l.gathered, shown...)
	}
	if !l.direct && !l.waits {
		l.waits = true
		l.flushing.Reset(gathering)
	}
	if err != nil {
		return 0, err
	}
	return len(line), nil
}

// write writes what is gathered. The caller holds mu.
func (l *lines) write() error {
	_, err := l.to.Write(l.gathered)
	if l.gathered = l.gathered[:0]; cap(l.gathered) > 2*mostGathered { // a line was very long
		l.gathered = nil
	}
	return err
}

// flush ends a moment of gathering. The next begins at once if there was anything.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits = len(l.gathered) > 0; l.waits {
		_ = l.write() // the next line reports that nothing can be written
		l.flushing.Reset(gathering)
	}
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.direct = true
	l.flushing.Stop()
	if len(l.gathered) > 0 {
		_ = l.write() // there is no other place to report it
	}
}

// printable returns a log line so that a terminal shows it as it is: what is not printable
// in it, the second half of the control characters and what turns the direction of text
// among it, becomes a JSON escape. Clients send such text, and so do websites and
// directories; zerolog escapes the first half alone.
func printable(line []byte) []byte {
	if plain(line) {
		return line
	}
	shown := make([]byte, 0, len(line)+16)
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
	return shown
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
