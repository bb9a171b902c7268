package conformance

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

//go:embed testdata/requests testdata/answers testdata/gated
var files embed.FS

// Entry is one case of a corpus. README.md describes the form of the files.
type Entry struct {
	Name   string
	Fields map[string]string // by key
	blocks map[string][]Step // by key, with escapes: what is sent, or what must arrive
}

// Step is a part of a block: bytes, or something to wait for before the next part.
type Step struct {
	Text string
	Wait string // "": nothing, Text counts
}

// Requests returns the corpus of odd requests. Entries that Fields["over"] gives to h2 alone have frames in their block
// "send", and no bytes.
func Requests() ([]Entry, error) {
	return read("requests", "tls off", "from", "over", "website", "expect", "send", "reaches", "raw")
}

// Gated returns the corpus of requests that claim to be of a person, or to be others than they are, to a website behind a gate.
func Gated() ([]Entry, error) {
	return read("gated", "tls plain off trusted", "from", "over", "who", "website", "expect", "send", "reaches")
}

// Answers returns the corpus of odd answers of a website.
func Answers() ([]Entry, error) {
	return read("answers", "tls h2", "from", "over", "website", "ask", "with", "answer", "expect", "body", "has", "lacks", "raw", "again")
}

// read reads all files of a corpus. A name occurs once in all of them, and each key is one of keys. An entry that does not
// name the ways that it goes over goes over these.
func read(corpus, ways string, keys ...string) (all []Entry, err error) {
	names, err := fs.Glob(files, "testdata/"+corpus+"/*.txt")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		block := ""
		for number, line := range strings.Split(string(text), "\n") {
			refused := func(why string) error { return fmt.Errorf("%s:%d: %s: %s", name, number+1, why, line) }
			if name, begins := strings.CutPrefix(line, "== "); begins {
				if seen[name] {
					return nil, refused("a second entry of this name")
				}
				seen[name] = true
				all = append(all, Entry{Name: name, Fields: map[string]string{}, blocks: map[string][]Step{}})
				block = ""
				continue
			}
			if line == "" || line[0] == '#' {
				continue
			}
			if len(all) == 0 {
				return nil, refused("in front of the first entry")
			}
			e := &all[len(all)-1]
			switch {
			case line[0] == '|' && block != "":
				e.blocks[block] = append(e.blocks[block], Step{Text: line[1:]})
			case line[0] == '<' && block != "":
				e.blocks[block] = append(e.blocks[block], Step{Wait: line[1:]})
			default:
				key, value, ok := strings.Cut(line, ":")
				if !ok || !slices.Contains(keys, key) {
					return nil, refused("no key of this corpus")
				}
				if _, twice := e.Fields[key]; twice {
					return nil, refused("a second value of this key")
				}
				e.Fields[key], block = strings.TrimSpace(value), key
			}
		}
	}
	for _, e := range all {
		if e.Fields["from"] == "" {
			return nil, fmt.Errorf("%s: the entry does not name where it comes from", e.Name)
		}
		if e.Fields["over"] == "" {
			e.Fields["over"] = ways
		}
	}
	return all, nil
}

// Host is the name under which the entry's own website is served.
func (e Entry) Host() string { return e.Name + ".conformance.test" }

// Over reports whether the entry is to be sent over a way. What goes over tls goes over fast as well: the same, with
// listen.fast.
func (e Entry) Over(way string) bool {
	if way == "fast" {
		way = "tls"
	}
	return slices.Contains(strings.Fields(e.Fields["over"]), way)
}

// Lines returns the lines of a block as they stand in the file, escapes and all.
func (e Entry) Lines(block string) []Step { return e.blocks[block] }

// Expand replaces the escapes in a line of a block: \r \n \t \0 \\ \xNN, {host}, {name} and {N*text}. What is none of
// them stays as it is.
func (e Entry) Expand(line string) string {
	var out strings.Builder
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case strings.HasPrefix(rest, "{host}"):
			out.WriteString(e.Host())
			i += len("{host}") - 1
		case strings.HasPrefix(rest, "{name}"):
			out.WriteString(e.Name)
			i += len("{name}") - 1
		case rest[0] == '{':
			inside, _, closed := strings.Cut(rest[1:], "}")
			count, text, times := strings.Cut(inside, "*")
			n, err := strconv.Atoi(count)
			if !closed || !times || err != nil {
				out.WriteByte('{')
				continue
			}
			out.WriteString(strings.Repeat(e.Expand(text), n))
			i += len(inside) + 1
		case rest[0] == '\\' && len(rest) > 1 && rest[1] == '0':
			out.WriteByte(0)
			i++
		case rest[0] == '\\':
			c, _, tail, err := strconv.UnquoteChar(rest, 0)
			if err != nil {
				out.WriteByte(rest[0])
				continue
			}
			out.WriteByte(byte(c)) // \xNN is a byte, never a character
			i += len(rest) - len(tail) - 1
		default:
			out.WriteByte(rest[0])
		}
	}
	return out.String()
}

// Steps returns what a block says, each line ended by CR LF unless it ends in a backslash. Waits divide it.
func (e Entry) Steps(block string) (parts []Step) {
	var text bytes.Buffer
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, Step{Text: text.String()})
			text.Reset()
		}
	}
	for _, s := range e.blocks[block] {
		if s.Wait != "" {
			flush()
			parts = append(parts, s)
			continue
		}
		line, open := strings.CutSuffix(s.Text, `\`)
		text.WriteString(e.Expand(line))
		if !open {
			text.WriteString("\r\n")
		}
	}
	flush()
	return parts
}

// Text is Steps without the waits.
func (e Entry) Text(block string) string {
	var all strings.Builder
	for _, part := range e.Steps(block) {
		all.WriteString(part.Text)
	}
	return all.String()
}
