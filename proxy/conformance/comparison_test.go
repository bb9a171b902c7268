package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write requests.md and answers.md anew")

// comparison is what each program did with each entry of a corpus.
type comparison struct {
	file  string // where it is recorded
	about string // its beginning, with the number of entries and two versions left out

	mu    sync.Mutex
	cells map[string]map[string]string // by program and entry, then by way
}

// set records what a program did.
func (c *comparison) set(program, way, entry, did string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cells == nil {
		c.cells = map[string]map[string]string{}
	}
	key := program + " " + entry
	if c.cells[key] == nil {
		c.cells[key] = map[string]string{}
	}
	c.cells[key][way] = did
}

// cell is what a program did with an entry over all ways, once where it is the same.
func (c *comparison) cell(program, entry string) string {
	did := c.cells[program+" "+entry]
	tls, h2 := did["tls"], did["h2"]
	switch {
	case tls == h2 || h2 == "":
		return tls
	case tls == "":
		return h2
	}
	return tls + "; HTTP/2: " + h2
}

// summary is a result in few words: the answers, how many requests reached the website, and whether one of them is such
// as servers read differently, or was hidden in another.
func (r result) summary() string {
	text := r.outcome.String()
	if r.err != nil {
		text = "no HTTP"
	}
	cut := 0
	for _, one := range r.reached {
		if one.cut {
			cut++
		}
	}
	if whole := len(r.reached) - cut; whole > 0 {
		text += fmt.Sprintf(", %d", whole)
	}
	if cut > 0 {
		text += fmt.Sprintf(", %d cut off", cut)
	}
	if len(r.faults) > 0 {
		text += ", odd"
	}
	if slices.ContainsFunc(r.reached, func(one request) bool { return strings.Contains(one.asked(), "smuggled") }) {
		text += ", **smuggled**"
	}
	return text
}

// write writes the record with -update, and otherwise demands that it has all entries: what the other programs do in
// other versions fails nothing.
func (c *comparison) write(t *testing.T, corpus []entry) {
	t.Helper()
	if *update {
		var out strings.Builder
		fmt.Fprintf(&out, c.about, len(corpus), version(t, "nginx", "-v"), version(t, "haproxy", "-v"))
		for _, e := range corpus {
			if ours := c.cell("persona", e.Name); ours != "" {
				fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", e.Name, ours, c.cell("nginx", e.Name), c.cell("haproxy", e.Name))
			}
		}
		write(t, c.file, out.String())
		return
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range corpus {
		if c.cell("persona", e.Name) != "" && !strings.Contains(string(text), "| "+e.Name+" |") {
			t.Errorf("%s lacks %s: run the test with -update", c.file, e.Name)
		}
	}
}

const requestsHead = `# Odd requests: what we do with them, and what others do

Written by ` + "`go test ./proxy/conformance -run TestRequests -update`" + `, which sends the %d entries of testdata/requests to the whole program, to %s and to %s, each in front of a website that keeps every byte. Each entry names the report or
standard it comes from, and what we must do; [README.md](README.md) explains its form.

A cell holds the statuses that the client got on one connection (0-cut or reset: a stream that was ended), whether the
connection was open for a further request, how many whole requests reached the website and how many that were cut off. *Odd* is a request that two
servers might read differently, *smuggled* one that was hidden in another. Entries about our redirect and about plain
HTTP are left out, because the others have no such thing.

| entry | persona | nginx | HAProxy |
|---|---|---|---|
`

// version is the first line of what a program says of its version.
func version(t testing.TB, program, argument string) string {
	t.Helper()
	out, err := exec.Command(program, argument).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v", program, argument, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	words := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(line, "nginx version: "), "HAProxy version "))
	return program + " " + strings.TrimPrefix(words[0], "nginx/")
}
