package conformance_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/proxytest"
)

// way is one way into a program.
type way struct {
	name   string // as known-faults.txt names it
	kind   kind
	dialed string // tls, plain or h2
	scheme string // that the website must be told; "": the program is not ours
}

// ways lists the ways into our own program, by the names that entries give in "over".
func ways() []way {
	secure := persona("persona", withTLS)
	return []way{
		{"tls", secure, "tls", "https"},
		{"fast", persona("persona", withFast), "tls", "https"},
		{"h2", secure, "h2", "https"},
		{"redirect", secure, "plain", "http"},
		{"off", persona("persona", withoutTLS), "plain", "http"},
	}
}

// peers lists the ways into the programs to compare with.
func peers() []way {
	return []way{{"tls", nginx, "tls", ""}, {"h2", nginx, "h2", ""}, {"tls", haproxy, "tls", ""}, {"h2", haproxy, "h2", ""}}
}

// patience is how long the program may let a client wait. How long another one does decides nothing.
func (w way) patience() time.Duration {
	if w.scheme == "" {
		return 2 * time.Second
	}
	return proxytest.Patience
}

// result is what one entry came to over one way.
type result struct {
	outcome
	err     error // the exchange could not be made, or was no HTTP
	reached []request
	raw     string   // what reached the website
	faults  []string // of what reached the website
}

// run sends the entries that go over a way, some at a time, and then ends the program, so that all that it had for the
// websites has arrived.
func run(t *testing.T, w way, entries []entry) map[string]result {
	t.Helper()
	p := w.kind.start(t, entries)
	results := atOnce(entries, func(e entry) (r result) {
		if w.dialed == "h2" {
			var lines []string
			for _, line := range e.Lines("send") {
				lines = append(lines, line.Text)
			}
			r.outcome, r.err = e.exchange2(t, p, lines, w.patience())
			return r
		}
		method := http.MethodGet
		if strings.Contains(e.Fields["expect"], "/head") {
			method = http.MethodHead
		}
		r.outcome, r.err = e.exchange1(t, p, w.dialed, method, e.Steps("send"), w.patience())
		return r
	})
	p.stop(t)
	for _, e := range entries {
		r := results[e.Name]
		r.reached, r.faults, r.raw = p.sites[e.Name].reached(t)
		// The last request has shown what it was for, if it was answered.
		if i := slices.IndexFunc(r.reached, func(one request) bool { return one.asked() == "GET "+e.after() }); i >= 0 && r.open {
			r.reached = slices.Delete(r.reached, i, i+1)
		}
		results[e.Name] = r
	}
	if requests, _, _ := p.stray.reached(t); w.scheme != "" && len(requests) > 0 {
		t.Errorf("requests reached a website that is for none of them: %v", requests)
	}
	return results
}

// atOnce plays entries, eight at once, and returns what each gave by its name.
func atOnce[R any](entries []entry, play func(entry) R) map[string]R {
	results := map[string]R{}
	var mu sync.Mutex
	var playing sync.WaitGroup
	queue := make(chan entry)
	for range 8 {
		playing.Go(func() {
			for e := range queue {
				r := play(e)
				mu.Lock()
				results[e.Name] = r
				mu.Unlock()
			}
		})
	}
	for _, e := range entries {
		queue <- e
	}
	close(queue)
	playing.Wait()
	return results
}

// TestRequests sends the corpus of odd requests to our program over every way in, and compares what the client got and
// what the website got, byte for byte, with what each entry says. nginx and HAProxy get the same; what they do is
// recorded in requests.md and decides nothing.
func TestRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the whole program")
	}
	t.Parallel()
	corpus := entries(t, conformance.Requests)
	known := knownFaults(t, "requests", corpus)
	recorded := comparison{file: "requests.md", about: requestsHead}
	t.Run("ways", func(t *testing.T) {
		for _, w := range append(ways(), peers()...) {
			t.Run(w.kind.name+"/"+w.name, func(t *testing.T) {
				w.kind.require(t)
				t.Parallel()
				sent := over(corpus, w.name)
				results := run(t, w, sent)
				for _, e := range sent {
					if w.name == "tls" || w.name == "h2" { // the ways that all have
						recorded.set(w.kind.name, w.name, e.Name, results[e.Name].summary())
					}
					if w.scheme != "" {
						known.judge(t, w.name, e, e.differences(t, w, results[e.Name]))
					}
				}
			})
		}
	})
	recorded.write(t, corpus)
}

// differences compares a result with what the entry expects.
func (e entry) differences(t testing.TB, w way, r result) (all []string) {
	t.Helper()
	differs := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.err != nil {
		differs("%v", r.err)
	}
	expected := strings.Split(strings.ReplaceAll(e.Fields["expect"], "/head", ""), " | ")
	if !slices.ContainsFunc(expected, r.outcome.is) {
		differs("the client got %q and should get %q", r.outcome, e.Fields["expect"])
	}
	for _, fault := range r.faults {
		differs("%s", fault)
	}
	if line := missing(r.raw, e.Steps("raw")); line != "" {
		differs("the website got no %q at its place in %q", line, r.raw)
	}
	want := e.expected(t)
	var pages []string
	for _, one := range want {
		if !one.cut && !strings.HasPrefix(one.line, "HEAD ") {
			pages = append(pages, page(one.asked()))
		}
	}
	if got := r.pages(); !slices.Equal(got, pages) && strings.Contains(r.outcome.String(), "200") {
		differs("the client got %q and should get %q", got, pages)
	}
	got := slices.Clone(r.reached)
	for i := range got {
		for _, fault := range got[i].withoutOurs(w) {
			differs("%s reached the website with %s", got[i], fault)
		}
		got[i].fields, got[i].trailers = sorted(got[i].fields), sorted(got[i].trailers)
	}
	if n := len(want); n > 0 && want[n-1].cut && len(got) == n-1 {
		want = want[:n-1] // of one that is cut off, nothing may have come
	}
	if n := len(want); n > 0 && len(got) == n && e.Fields["reaches"] == "cut" {
		want[n-1].cut = got[n-1].cut
	}
	if w.dialed == "h2" { // streams come in any order
		byLine := func(a, b request) int { return strings.Compare(a.line, b.line) }
		slices.SortFunc(got, byLine)
		slices.SortFunc(want, byLine)
	}
	if !slices.EqualFunc(got, want, same) {
		differs("reached the website:\n\t\t%s\n\tshould reach it:\n\t\t%s", list(got), list(want))
	}
	return all
}

// missing returns the first line that text lacks behind those before it, or "".
func missing(text string, lines []conformance.Step) string {
	for _, step := range lines {
		for line := range strings.Lines(step.Text) {
			_, rest, found := strings.Cut(text, "\n"+line)
			if !found {
				return line
			}
			text = "\n" + rest
		}
	}
	return ""
}

// same compares a request that reached the website with one that should. Of one that is cut off, the beginning is enough.
func same(got, want request) bool {
	if want.cut && got.cut {
		want.body, want.trailers = want.body[:min(len(got.body), len(want.body))], got.trailers
	}
	return got.line == want.line && slices.Equal(got.fields, want.fields) && got.body == want.body &&
		slices.Equal(got.trailers, want.trailers) && got.cut == want.cut
}

func list(requests []request) string {
	if len(requests) == 0 {
		return "nothing"
	}
	var lines []string
	for _, r := range requests {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n\t\t")
}

// expected reads what must reach the website.
func (e entry) expected(t testing.TB) (all []request) {
	t.Helper()
	text := e.Text("reaches")
	if (text == "") != (e.Fields["reaches"] == "nothing") || text != "" && !slices.Contains([]string{"", "cut"}, e.Fields["reaches"]) {
		t.Fatalf("%s: what must reach the website is missing", e.Name)
	}
	in := bufio.NewReader(strings.NewReader(text))
	for {
		r, err := readHead(in)
		if errors.Is(err, errEnd) {
			return all
		}
		if err == nil {
			err = r.readBody(in)
		}
		r.cut = errors.Is(err, errCut)
		if err != nil && !r.cut {
			t.Fatalf("%s: what must reach the website cannot be read: %v", e.Name, err)
		}
		r.fields, r.trailers = sorted(r.fields), sorted(r.trailers)
		all = append(all, r)
	}
}

// withoutOurs takes out of a request the fields that our program makes, and returns what is wrong with them.
func (r *request) withoutOurs(w way) (faults []string) {
	host, port := "", "80"
	if w.scheme == "https" {
		port = "443"
	}
	for _, f := range r.fields {
		if f.name == "host" {
			host = f.value
		}
	}
	ours := map[string]string{
		"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "x-forwarded-proto": w.scheme,
		"x-forwarded-host": host, "x-forwarded-port": port, "x-request-id": "", "via": "",
	}
	seen := map[string]int{}
	r.fields = slices.DeleteFunc(r.fields, func(f field) bool {
		value, made := ours[f.name]
		if f.name == "connection" && slices.Contains([]string{"close", "keep-alive", "TE"}, f.value) {
			return true // of the connection to the website
		}
		if !made || f.name == "via" && !strings.HasSuffix(f.value, " persona") {
			return false
		}
		seen[f.name]++
		if value != "" && value != f.value {
			faults = append(faults, fmt.Sprintf("%s %q instead of %q", f.name, f.value, value))
		}
		return true
	})
	for name := range ours {
		if seen[name] != 1 {
			faults = append(faults, fmt.Sprintf("%d fields %s", seen[name], name))
		}
	}
	return faults
}
