package conformance_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entry is one case of a corpus. README.md describes the form of the files.
type entry struct {
	name   string
	fields map[string]string // by key
	blocks map[string][]step // by key; what is sent, or what must arrive
}

// step is a part of a block: bytes to send, or something to wait for before the next part.
type step struct {
	text string // escapes still in it
	wait string // what to wait for; "": nothing, text counts
}

// readCorpus reads all files of a folder below testdata. A name occurs once in all of them, and each key is one of keys.
func readCorpus(t testing.TB, folder string, keys ...string) (all []entry) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus in %s: %v", folder, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block := ""
		for number, line := range strings.Split(string(text), "\n") {
			refuse := func(why string) { t.Fatalf("%s:%d: %s: %s", file, number+1, why, line) }
			if name, begins := strings.CutPrefix(line, "== "); begins {
				if seen[name] {
					refuse("a second entry of this name")
				}
				seen[name] = true
				all = append(all, entry{name: name, fields: map[string]string{}, blocks: map[string][]step{}})
				block = ""
				continue
			}
			if line == "" || line[0] == '#' {
				continue
			}
			if len(all) == 0 {
				refuse("in front of the first entry")
			}
			e := &all[len(all)-1]
			switch {
			case line[0] == '|' && block != "":
				e.blocks[block] = append(e.blocks[block], step{text: line[1:]})
			case line[0] == '<' && block != "":
				e.blocks[block] = append(e.blocks[block], step{wait: line[1:]})
			default:
				key, value, ok := strings.Cut(line, ":")
				if !ok || !slices.Contains(keys, key) {
					refuse("no key of this corpus")
				}
				if _, twice := e.fields[key]; twice {
					refuse("a second value of this key")
				}
				e.fields[key], block = strings.TrimSpace(value), key
			}
		}
	}
	for _, e := range all {
		if e.fields["from"] == "" {
			t.Fatalf("%s: the entry does not name where it comes from", e.name)
		}
	}
	return all
}

// host is the name under which the entry's own website is served.
func (e entry) host() string { return e.name + ".conformance.test" }

// expand replaces the escapes in a line of a block: \r \n \t \0 \\ \xNN, {host}, {name} and {N*text}.
func (e entry) expand(t testing.TB, line string) string {
	t.Helper()
	var out strings.Builder
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case strings.HasPrefix(rest, "{host}"):
			out.WriteString(e.host())
			i += len("{host}") - 1
		case strings.HasPrefix(rest, "{name}"):
			out.WriteString(e.name)
			i += len("{name}") - 1
		case rest[0] == '{':
			inside, _, closed := strings.Cut(rest[1:], "}")
			count, text, times := strings.Cut(inside, "*")
			n, err := strconv.Atoi(count)
			if !closed || !times || err != nil {
				out.WriteByte('{')
				continue
			}
			out.WriteString(strings.Repeat(e.expand(t, text), n))
			i += len(inside) + 1
		case rest[0] == '\\' && len(rest) > 1 && rest[1] == '0':
			out.WriteByte(0)
			i++
		case rest[0] == '\\':
			c, _, tail, err := strconv.UnquoteChar(rest, 0)
			if err != nil {
				t.Fatalf("%s: %q: %v", e.name, rest, err)
			}
			out.WriteByte(byte(c)) // \xNN is a byte, never a character
			i += len(rest) - len(tail) - 1
		default:
			out.WriteByte(rest[0])
		}
	}
	return out.String()
}

// bytes returns what a block says, each line ended by CR LF unless it ends in a backslash. Waits divide it.
func (e entry) bytes(t testing.TB, block string) (parts []step) {
	t.Helper()
	var text bytes.Buffer
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, step{text: text.String()})
			text.Reset()
		}
	}
	for _, s := range e.blocks[block] {
		if s.wait != "" {
			flush()
			parts = append(parts, s)
			continue
		}
		line, open := strings.CutSuffix(s.text, `\`)
		text.WriteString(e.expand(t, line))
		if !open {
			text.WriteString("\r\n")
		}
	}
	flush()
	return parts
}

// text is bytes of a block without waits.
func (e entry) text(t testing.TB, block string) string {
	t.Helper()
	var all strings.Builder
	for _, part := range e.bytes(t, block) {
		if part.wait != "" {
			t.Fatalf("%s: %s cannot wait for %s", e.name, block, part.wait)
		}
		all.WriteString(part.text)
	}
	return all.String()
}

// knownFaults reads which entries fail today, and by which finding: lines of "way entry finding".
func knownFaults(t testing.TB, corpus string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "known-faults.txt"))
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 {
			t.Fatalf("known-faults.txt: %q is not of the form: corpus way entry finding", line)
		}
		if words[0] == corpus {
			faults[fmt.Sprintf("%s/%s", words[1], words[2])] = strings.Join(words[3:], " ")
		}
	}
	return faults
}
