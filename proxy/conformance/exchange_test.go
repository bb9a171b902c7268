package conformance_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/conformance"
)

// outcome is what a client saw of one connection.
type outcome struct {
	answers []answer
	raw     string // the bytes, over HTTP/1.1
	open    bool   // a further request of the same connection was answered by its own page
	hung    bool   // neither an end nor an answer came in time
}

// answer is one answer as the client read it. For HTTP/2 a stream that ended without one has a status of 0.
type answer struct {
	status   int
	fields   http.Header
	body     string
	trailers http.Header
	cut      bool     // ended before its end, or by a reset
	interim  []answer // in front of it; HTTP/2 alone, they stand for themselves elsewhere
}

// String is how a corpus writes an outcome: the statuses in their order, and what became of the connection.
func (o outcome) String() string {
	var words []string
	for _, a := range o.answers {
		switch {
		case a.status == 0:
			words = append(words, "reset")
		case a.cut:
			words = append(words, fmt.Sprintf("%d-cut", a.status))
		default:
			words = append(words, fmt.Sprint(a.status))
		}
	}
	switch {
	case o.hung:
		words = append(words, "hung")
	case o.open:
		words = append(words, "open")
	default:
		words = append(words, "closed")
	}
	return strings.Join(words, " ")
}

// is reports whether the outcome is the one that a corpus expects. "refused" stands for one answer of any status that
// refuses a request, a reset or no answer at all, with the connection open or closed behind it.
func (o outcome) is(expected string) bool {
	if expected != "refused" && expected != "refused closed" {
		return o.String() == expected
	}
	if len(o.answers) > 1 || o.hung || len(o.answers) == 0 && o.open || o.open && expected != "refused" {
		return false
	}
	if len(o.answers) == 0 {
		return true
	}
	status := o.answers[0].status
	return status == 0 || 400 <= status && status < 500 || status == http.StatusNotImplemented || status == http.StatusHTTPVersionNotSupported
}

// pages returns the bodies of the pages of the website.
func (o outcome) pages() (pages []string) {
	for _, a := range o.answers {
		if strings.HasPrefix(a.body, page("")) {
			pages = append(pages, a.body)
		}
	}
	return pages
}

// after is the target of the request that is sent last, to see whether the connection is still open and in step.
func (e entry) after() string {
	if e.stranger {
		return "/" + e.Name + ".stranger"
	}
	return "/" + e.Name + ".after"
}

// exchange1 sends something over HTTP/1.1, behind it a GET of after, and reads until the server closes. The method is that
// of the first request.
func (e entry) exchange1(t testing.TB, p *program, way, method string, steps []conformance.Step, patience time.Duration) (o outcome, err error) {
	t.Helper()
	conn, err := p.dial(e.Host(), way)
	if err != nil {
		return o, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	stream := newStream(conn)
	for _, part := range steps {
		switch part.Wait {
		case "":
			_, err = io.WriteString(conn, strings.ReplaceAll(part.Text, "\r\nHost:", "\r\n"+e.behind+"Host:")) // fails where the server has closed
		case "answer":
			stream.wait(func(read []byte) bool { return bytes.Contains(read, []byte("\r\n\r\n")) })
		case "begun": // some of the body
			stream.wait(func(read []byte) bool { _, body, _ := bytes.Cut(read, []byte("\r\n\r\n")); return len(body) > 0 })
		case "late":
			p.sites[e.Name].sendLate("/" + e.Name)
		case "close":
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
			if err == nil {
				err = errEnd
			}
		case "website":
			site := p.sites[e.Name]
			site.wait(patience, func() bool { return len(site.conns) > 0 && site.conns[0].raw.Len() > 0 })
		default:
			t.Fatalf("%s: nothing is known of %q to wait for", e.Name, part.Wait)
		}
	}
	if err == nil {
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", e.after(), e.Host())
	}
	read, err := stream.all()
	var timeout net.Error
	o.hung = errors.As(err, &timeout) && timeout.Timeout()
	o.raw = string(read)
	in := bufio.NewReader(bytes.NewReader(read))
	for {
		if _, err := in.Peek(1); err != nil {
			break
		}
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return o, fmt.Errorf("the client cannot read %.200q: %w", read, err)
		}
		body, err := io.ReadAll(response.Body)
		o.answers = append(o.answers, answer{
			status: response.StatusCode, fields: response.Header, body: string(body), trailers: response.Trailer, cut: err != nil,
		})
		if response.StatusCode >= 200 {
			method = http.MethodGet
		}
	}
	o.lastPage(e)
	return o, nil
}

// lastPage takes the answer to after out of the answers.
func (o *outcome) lastPage(e entry) {
	n := len(o.answers)
	if n > 0 && o.answers[n-1].body == page("GET "+e.after()) && !o.answers[n-1].cut {
		o.open, o.hung, o.answers = true, false, o.answers[:n-1]
	}
}

// stream reads a connection while it is written to.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	read    []byte
	err     error // that ended it; nil: it goes on
}

func newStream(conn io.Reader) *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	go func() {
		buffer := make([]byte, 16<<10)
		for {
			n, err := conn.Read(buffer)
			s.mu.Lock()
			s.read, s.err = append(s.read, buffer[:n]...), err
			s.changed.Broadcast()
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// wait waits until what was read fulfills a condition, or nothing more can come.
func (s *stream) wait(enough func([]byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !enough(s.read) {
		s.changed.Wait()
	}
}

// all returns everything that came until the end, and what ended it.
func (s *stream) all() ([]byte, error) {
	s.wait(func([]byte) bool { return false })
	return s.read, s.err
}
