package conformance_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/proxy/conformance"
)

// entry is one case of a corpus, which can be sent.
type entry struct {
	conformance.Entry
	behind   string // the field lines that a proxy in front adds to each request over HTTP/1.1
	stranger bool   // asks from another connection for pages, and sends nothing of the entry
}

// entries makes a corpus one that can be sent.
func entries(t testing.TB, read func() ([]conformance.Entry, error)) (all []entry) {
	t.Helper()
	corpus, err := read()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range corpus {
		all = append(all, entry{Entry: one})
	}
	return all
}

// over returns the entries that are to be sent over a way.
func over(corpus []entry, way string) (some []entry) {
	for _, e := range corpus {
		if e.Over(way) {
			some = append(some, e)
		}
	}
	return some
}

// faults are the entries of a corpus that fail today: the reason, by "way/entry".
type faults map[string]string

// knownFaults reads testdata/known-faults.txt, and demands that what it names is in the corpus.
func knownFaults(t testing.TB, name string, corpus []entry) faults {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "known-faults.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := faults{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 4 {
			t.Fatalf("known-faults.txt: %q is not of the form: corpus way entry reason", line)
		}
		if words[0] != name {
			continue
		}
		if !slices.ContainsFunc(corpus, func(e entry) bool { return e.Name == words[2] && e.Over(words[1]) }) {
			t.Errorf("known-faults.txt names %s over %s, which is not in the corpus", words[2], words[1])
		}
		known[words[1]+"/"+words[2]] = words[3]
	}
	return known
}

// judge fails the test for an entry that differs and is not known to, and for one that is known to differ and does not.
func (known faults) judge(t *testing.T, way string, e entry, differences []string) {
	t.Helper()
	reason := known[way+"/"+e.Name]
	switch {
	case reason == "" && len(differences) > 0:
		t.Errorf("%s (%s):\n\t%s", e.Name, e.Fields["from"], strings.Join(differences, "\n\t"))
	case reason != "" && len(differences) == 0:
		t.Errorf("%s passes: remove %s from known-faults.txt", e.Name, reason)
	}
}
