package conformance_test

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/proxytest"
)

// alien stands in whatever belongs to no answer: no client may ever get it.
const alien = "ALIEN"

// script is what a website answers in place of a page.
type script struct {
	parts []conformance.Step
	late  chan struct{} // closed when the client has its answer
	sent  chan struct{} // closed when all is sent
	once  sync.Once     // closes sent
}

func newScript(parts []conformance.Step) *script {
	return &script{parts: parts, late: make(chan struct{}), sent: make(chan struct{})}
}

// answer runs the script on a connection and reports whether the connection goes on.
func (s *script) answer(conn net.Conn) bool {
	defer s.once.Do(func() { close(s.sent) })
	for _, part := range s.parts {
		switch part.Wait {
		case "client", "begun":
			select {
			case <-s.late:
			case <-time.After(proxytest.Patience):
			}
		case "close":
			return false
		default:
			if _, err := io.WriteString(conn, part.Text); err != nil {
				return false
			}
		}
	}
	return true
}

// ask sends the request that the script answers. Where bytes come late, the client has its answer first.
func (e entry) ask(t testing.TB, p *program, w way) (outcome, error) {
	t.Helper()
	method := cmp.Or(e.Fields["ask"], http.MethodGet)
	late := "" // what to wait for
	for _, step := range e.Lines("answer") {
		switch step.Wait {
		case "client":
			late = "answer"
		case "begun":
			late = "begun"
		}
	}
	with := e.Text("with")
	if w.dialed == "h2" {
		script := "request 1 end " + method + " /" + e.Name + "\n"
		for line := range strings.Lines(with) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			script += "\t" + strings.ToLower(name) + ": " + value + "\n"
		}
		if late != "" {
			script += late + " 1\nlate 1\n"
		}
		return e.exchange2(t, p, strings.Split(strings.TrimSuffix(script, "\n"), "\n"), w.patience())
	}
	steps := []conformance.Step{{Text: method + " /" + e.Name + " HTTP/1.1\r\nHost: " + e.Host() + "\r\n" + with + "\r\n"}}
	if late != "" {
		steps = append(steps, conformance.Step{Wait: late}, conformance.Step{Wait: "late"})
	}
	return e.exchange1(t, p, w.dialed, method, steps, w.patience())
}

// answered is what became of one entry of answers over one way.
type answered struct {
	outcome
	err  error
	next []outcome // of requests on other connections that followed
}

// runAnswers asks for the odd answers of a corpus, and each time for ordinary pages afterwards.
func runAnswers(t *testing.T, w way, entries []entry) (map[string]answered, *program) {
	t.Helper()
	p := w.kind.start(t, entries)
	return atOnce(entries, func(e entry) (r answered) {
		r.outcome, r.err = e.ask(t, p, w)
		stranger := entry{Entry: e.Entry, stranger: true}
		for range 3 {
			var one outcome
			var err error
			if w.dialed == "h2" {
				one, err = stranger.exchange2(t, p, nil, w.patience())
			} else {
				one, err = stranger.exchange1(t, p, w.dialed, http.MethodGet, nil, w.patience())
			}
			r.next = append(r.next, one)
			r.err = errors.Join(r.err, err)
		}
		return r
	}), p
}

// TestAnswers lets a website give every odd answer of the corpus to our program. The client must get what the entry says,
// no later request may get bytes that belong to none, and the connection to the website must be used again or not.
func TestAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the whole program")
	}
	t.Parallel()
	corpus := entries(t, conformance.Answers)
	known := knownFaults(t, "answers", corpus)
	recorded := comparison{file: "answers.md", about: answersHead}
	t.Run("ways", func(t *testing.T) {
		for _, w := range append(ways(), peers()...) {
			given := over(corpus, w.name)
			if len(given) == 0 {
				continue
			}
			t.Run(w.kind.name+"/"+w.name, func(t *testing.T) {
				w.kind.require(t)
				t.Parallel()
				results, p := runAnswers(t, w, given)
				for _, e := range given {
					differences, again := e.answerDifferences(t, p, results[e.Name])
					if w.name == "tls" || w.name == "h2" { // the ways that all have
						recorded.set(w.kind.name, w.name, e.Name, results[e.Name].summary(again))
					}
					if w.scheme != "" {
						known.judge(t, w.name, e, differences)
					}
				}
			})
		}
	})
	recorded.write(t, corpus)
}

// summary is a result in few words.
func (r answered) summary(again bool) string {
	text := r.outcome.String()
	if r.err != nil {
		text = "no HTTP"
	}
	if again {
		text += ", used again"
	}
	for _, one := range append(slices.Clone(r.next), r.outcome) {
		for _, a := range one.answers {
			if strings.Contains(a.body, alien) {
				return text + ", **alien bytes**"
			}
		}
	}
	for _, one := range r.next {
		if !one.open {
			return text + ", **then " + one.String() + "**"
		}
	}
	return text
}

// answerDifferences compares a result with what the entry expects, and reports whether the connection to the website was
// used again.
func (e entry) answerDifferences(t testing.TB, p *program, r answered) (all []string, again bool) {
	t.Helper()
	differs := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.err != nil {
		differs("%v", r.err)
	}
	if !slices.ContainsFunc(strings.Split(e.Fields["expect"], " | "), r.outcome.is) {
		differs("the client got %q and should get %q", r.outcome, e.Fields["expect"])
	}
	for i, one := range r.next {
		if one.String() != "open" {
			differs("request %d after it got %q", i+1, one)
		}
	}
	for _, one := range append(slices.Clone(r.next), r.outcome) {
		for _, a := range one.answers {
			if strings.Contains(a.body, alien) || strings.Contains(fmt.Sprint(a.fields), alien) {
				differs("a client got bytes that belong to no answer: %d %v %q", a.status, a.fields, a.body)
			}
		}
	}
	if n := len(r.answers); n > 0 && r.answers[n-1].status != http.StatusBadGateway {
		last := r.answers[n-1]
		if body := e.Text("body"); e.Lines("body") != nil && last.body != body {
			differs("the body is %q and should be %q", last.body, body)
		}
		for _, line := range e.Lines("has") {
			name, value, _ := strings.Cut(line.Text, ": ")
			if !slices.Contains(r.values(name), e.Expand(value)) {
				differs("%s is %q and should be %q", name, r.values(name), value)
			}
		}
		for name := range strings.FieldsSeq(e.Fields["lacks"]) {
			if values := r.values(name); len(values) > 0 {
				differs("the client got %s: %q", name, values)
			}
		}
	}
	if line := missing(r.raw, e.Steps("raw")); line != "" && r.raw != "" {
		differs("the client got no %q at its place in %q", line, r.raw)
	}
	site := p.sites[e.Name]
	again = site.again("/"+e.Name, "")
	switch {
	case e.Fields["again"] == "no" && again:
		differs("the connection to the website was used again")
	case e.Fields["again"] == "no" && !site.wait(proxytest.Patience, func() bool { return len(site.conns) == 0 || site.conns[0].ended }):
		differs("the connection to the website stays open")
	case e.Fields["again"] == "own" && site.again("/"+e.Name, entry{Entry: e.Entry, stranger: true}.after()):
		differs("the connection to the website was used again for another client")
	case e.Fields["again"] == "yes" && !again:
		differs("the connection to the website was not used again")
	}
	return all, again
}

// values are all values of a field, in interim answers, the answer and its trailers.
func (o outcome) values(name string) (values []string) {
	for _, a := range o.answers {
		values = append(values, a.fields.Values(name)...)
		values = append(values, a.trailers.Values(name)...)
	}
	return values
}

// again reports whether the connection that the script of a target answered on carried a further request, of another
// target or of any where it is "".
func (w *website) again(target, other string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.conns {
		asks := func(target string) func(request) bool {
			return func(r request) bool { return strings.HasSuffix(r.asked(), " "+target) }
		}
		if i := slices.IndexFunc(v.requests, asks(target)); i >= 0 {
			rest := v.requests[i+1:]
			return len(rest) > 0 && (other == "" || slices.ContainsFunc(rest, asks(other)))
		}
	}
	return false
}

// sendLate lets the script of a target send what comes behind an answer, and waits until it has.
func (w *website) sendLate(target string) {
	s := w.scripts[target]
	close(s.late)
	<-s.sent
}

// follow serves a connection by the scripts of the website.
func (w *website) follow(conn net.Conn, v *visit, in *bufio.Reader) {
	for {
		r, err := readHead(in)
		if err == nil {
			err = r.readBody(in)
		}
		if err != nil {
			return
		}
		_, target, _ := strings.Cut(r.asked(), " ")
		scripted := w.scripts[target]
		w.update(func() { v.requests = append(v.requests, r) })
		if scripted == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(page(r.asked())), page(r.asked()))
			continue
		}
		if !scripted.answer(conn) {
			if conn.(*net.TCPConn).CloseWrite() == nil {
				_, _ = io.Copy(io.Discard, in) // closing with bytes unread would reset the connection
			}
			return
		}
	}
}

const answersHead = `# Odd answers of a website: what we make of them, and what others do

Written by ` + "`go test ./proxy/conformance -run TestAnswers -update`" + `, which lets a website give the %d answers of testdata/answers to
the whole program, to %s and to %s, over HTTP/1.1 and HTTP/2. Each entry names the report or standard it comes from, and
what the client must get; [README.md](README.md) explains its form.

A cell holds the statuses that the client got, whether its connection stayed open, and whether the connection to the website
was used again. *Alien bytes* belong to no answer and reached a client all the same; *then* is what a later request got instead of its page.

| entry | persona | nginx | HAProxy |
|---|---|---|---|
`
