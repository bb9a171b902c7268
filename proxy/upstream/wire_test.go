package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// wired is the ResponseWriter of a server that keeps heads as they stand.
type wired struct {
	http.ResponseWriter // for nothing but the trailer section
	request             wire.Fields
	heads               []wire.Fields // of interim and final answers
	status              []int
	reason              []string
	length              int64
	body                strings.Builder
	flushes             int
}

func (w *wired) RequestFields() wire.Fields { return w.request }

func (w *wired) WriteHead(status int, reason string, fields wire.Fields, length int64) error {
	w.status, w.reason, w.length = append(w.status, status), append(w.reason, reason), length
	w.heads = append(w.heads, slices.Clone(fields))
	return nil
}

func (w *wired) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *wired) Flush()                      { w.flushes++ }

// canned answers every request alike.
type canned struct {
	failure error
	asked   *request
	interim wire.Fields
	answer  reply
	body    string
}

func (c *canned) exchange(_ context.Context, q *request) (*reply, error) {
	c.asked = q
	if c.failure != nil {
		return nil, c.failure
	}
	if c.interim != nil {
		if err := q.asker.interim(http.StatusEarlyHints, slices.Clone(c.interim)); err != nil {
			return nil, err
		}
	}
	a := c.answer
	a.fields = append(make(wire.Fields, 0, len(a.fields)), a.fields...)
	a.body = &cannedBody{strings.NewReader(c.body)}
	return &a, nil
}

func (c *canned) close() {}

type cannedBody struct{ *strings.Reader }

func (b *cannedBody) ready() bool          { return true }
func (b *cannedBody) trailer() wire.Fields { return wire.Fields{{Name: "X-Sum", Value: "1"}} }
func (b *cannedBody) cutter() func()       { return func() {} }
func (b *cannedBody) close()               {}

func over(t testing.TB, website exchanger) *Proxy {
	t.Helper()
	u, _ := url.Parse("http://website.example")
	p, err := New(Config{Site: "example.com", URL: u, Cookies: []string{"__Host-persona"}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	p.website = website
	return p
}

func browserRequest() (*http.Request, wire.Fields) {
	fields := wire.Fields{
		{Name: "Host", Value: "example.com"},
		{Name: "user-AGENT", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"},
		{Name: "X-One", Value: ""},
		{Name: "accept", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		{Name: "Accept-Language", Value: "en-US,en;q=0.5"},
		{Name: "ACCEPT-ENCODING", Value: "gzip, deflate, br, zstd"},
		{Name: "x-one", Value: "2"},
		{Name: "Cookie", Value: "a=1; b=2"},
		{Name: "Connection", Value: "keep-alive"},
	}
	r := httptest.NewRequest(http.MethodGet, "/index.html?a=b", http.NoBody)
	r.Header = http.Header{}
	for _, f := range fields[1:] {
		r.Header.Add(f.Name, f.Value)
	}
	return r, fields
}

// Where the server knows the order and the spelling of fields, both are kept, on the
// way to the website and back.
func TestOrderAndSpelling(t *testing.T) {
	t.Parallel()
	website := &canned{
		interim: wire.Fields{{Name: "link", Value: "</a.css>"}, {Name: "Connection", Value: "x"}, {Name: "X", Value: "1"}},
		answer: reply{status: 200, reason: "All Fine", length: 2, fields: wire.Fields{
			{Name: "zeta", Value: "1"},
			{Name: "ALPHA", Value: "2"},
			{Name: "keep-alive", Value: "5"},
			{Name: "Zeta", Value: "3"},
			{Name: "trailer", Value: "X-Sum, Set-Cookie"},
			{Name: "content-length", Value: "2"},
			{Name: "set-cookie", Value: "__Host-persona=evil"},
		}},
		body: "ok",
	}
	r, fields := browserRequest()
	header := http.Header{"Strict-Transport-Security": {"max-age=1"}, "Zeta": {"set in front, given by the website"}}
	w := &wired{ResponseWriter: headerOnly{header}, request: fields}
	middleware.New(middleware.Config{Log: zerolog.Nop()})(over(t, website)).ServeHTTP(w, r)
	seen := website.asked.fields
	want := slices.Concat(fields[1:8], wire.Fields{{Name: "Via", Value: "1.1 persona"}})
	if diff := cmp.Diff(want, seen[:len(want)]); diff != "" {
		t.Errorf("the website saw (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]wire.Fields{
		{{Name: "link", Value: "</a.css>"}},
		{
			{Name: "zeta", Value: "1"},
			{Name: "ALPHA", Value: "2"},
			{Name: "Zeta", Value: "3"},
			{Name: "trailer", Value: "X-Sum"},
			{Name: "content-length", Value: "2"},
			{Name: "Strict-Transport-Security", Value: "max-age=1"},
		},
	}, w.heads); diff != "" {
		t.Errorf("the client saw (-want +got):\n%s", diff)
	}
	if !slices.Equal(w.status, []int{103, 200}) || w.reason[1] != "All Fine" || w.length != 2 || w.body.String() != "ok" {
		t.Errorf("%+v", w)
	}
	if got := header[http.TrailerPrefix+"X-Sum"]; !slices.Equal(got, []string{"1"}) {
		t.Errorf("trailer section %q", got)
	}
	if w.flushes != 0 {
		t.Errorf("%d flushes of what was there at once", w.flushes)
	}
}

// A website that has as many connections as it may is reported as such, to the
// client with a time to come back.
func TestFull(t *testing.T) {
	t.Parallel()
	p := over(t, &canned{failure: &fault{Full, "a hint", errors.New("full")}})
	told := make(chan Failure, 1)
	p.failed = func(f Failure) { told <- f }
	var log bytes.Buffer
	r, _ := browserRequest()
	w := httptest.NewRecorder()
	middleware.New(middleware.Config{Log: zerolog.New(&log)})(p).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "30" || !strings.Contains(w.Body.String(), "example.com is busy") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if got := <-told; got != Full || !strings.Contains(log.String(), `"hint":"a hint"`) {
		t.Errorf("told %s, logged %s", got, &log)
	}
}

type headerOnly struct{ header http.Header }

func (h headerOnly) Header() http.Header       { return h.header }
func (headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (headerOnly) WriteHeader(int)             {}

// BenchmarkFlow is what the flow costs for an answer of 1 KiB without reading and
// writing: over a server that keeps heads as they stand, and over one that does not.
func BenchmarkFlow(b *testing.B) {
	website := &canned{
		answer: reply{status: 200, reason: "OK", length: 1024, fields: wire.Fields{
			{Name: "Date", Value: "Wed, 25 Nov 2026 15:00:00 GMT"},
			{Name: "Content-Type", Value: "text/html"},
			{Name: "Content-Length", Value: "1024"},
			{Name: "ETag", Value: `"x"`},
			{Name: "Cache-Control", Value: "max-age=60"},
			{Name: "Connection", Value: "keep-alive"},
		}},
		body: strings.Repeat("x", 1024),
	}
	r, fields := browserRequest()
	handler := middleware.New(middleware.Config{Log: zerolog.New(io.Discard)})(over(b, website))
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w := &discarded{headerOnly{http.Header{}}, fields}
			handler.ServeHTTP(w, r)
		}
	})
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			handler.ServeHTTP(headerOnly{http.Header{}}, r)
		}
	})
}

// discarded is an answer of a server that keeps heads, which is not looked at.
type discarded struct {
	headerOnly
	request wire.Fields
}

func (d *discarded) RequestFields() wire.Fields                    { return d.request }
func (*discarded) WriteHead(int, string, wire.Fields, int64) error { return nil }

// lender is a ResponseWriter as net/http's over HTTP/2: it may read the header of an
// interim answer after WriteHeader has returned, unless it has to copy it.
type lender struct {
	*httptest.ResponseRecorder
	lent int
}

func (w *lender) WriteHeader(status int) {
	_, copied := w.Header()["Content-Length"]
	if status < 200 && !copied {
		w.lent++
	}
	if status >= 200 {
		w.ResponseRecorder.WriteHeader(status)
	}
}

// A client that leaves while an interim answer is sent makes net/http read the header
// beside the handler: it must be another one than that of the final answer.
func TestInterimHeaderIsCopied(t *testing.T) {
	t.Parallel()
	for name, interim := range map[string]wire.Fields{
		"without a length": {{Name: "Link", Value: "</a.css>"}},
		"with a length":    {{Name: "content-length", Value: "5"}},
		"empty":            {},
	} {
		w := &lender{ResponseRecorder: httptest.NewRecorder()}
		r, _ := browserRequest()
		website := &canned{interim: interim, answer: reply{status: 200, length: 2}, body: "ok"}
		middleware.New(middleware.Config{Log: zerolog.Nop()})(over(t, website)).ServeHTTP(w, r)
		_, leftover := w.Header()["Content-Length"]
		if w.lent > 0 || leftover || w.Body.String() != "ok" {
			t.Errorf("%s: %d headers lent, final header %v", name, w.lent, w.Header())
		}
	}
}
