package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/wire"
)

const limit = 64 << 10

// message is an answer as it was read.
type message struct {
	head    wire.Answer
	framing wire.Framing
	body    string
	trailer wire.Fields
	marked  bool   // its framing marks its end
	rest    string // what follows it
}

// readMessage reads an answer out of src with reads of at most size bytes.
func readMessage(src io.Reader, method string, size int) (m message, err error) {
	r := wire.NewReader(src, new(wire.Buffers))
	if m.head, err = r.ReadAnswer(limit); err != nil {
		return m, err
	}
	if m.framing, err = m.head.Framing(method); err != nil {
		return m, err
	}
	var body wire.Body
	body.Start(r, m.framing, limit)
	var text strings.Builder
	for p := make([]byte, size); err == nil; {
		var n int
		n, err = body.Read(p)
		text.Write(p[:n])
	}
	m.body = text.String()
	if !errors.Is(err, io.EOF) {
		return m, err
	}
	m.trailer, m.marked = body.Trailer(), body.Complete()
	rest, err := io.ReadAll(r)
	m.rest = string(rest)
	return m, err
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789", 10_000)
	for name, test := range map[string]struct {
		method, text string
		want         message
	}{
		"length":            {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", message{body: "ok", marked: true, rest: "more"}},
		"large":             {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + big + "more", message{body: big, marked: true, rest: "more"}},
		"large head":        {"GET", "HTTP/1.1 200 OK\r\nX: " + big[:60_000] + "\r\nContent-Length: 2\r\n\r\nokmore", message{body: "ok", marked: true, rest: "more"}},
		"no body":           {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore", message{marked: true, rest: "more"}},
		"to the end":        {"GET", "HTTP/1.1 200 OK\r\n\r\n" + big, message{body: big}},
		"HEAD":              {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmore", message{marked: true, rest: "more"}},
		"HEAD in chunks":    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmore", message{marked: true, rest: "more"}},
		"204":               {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nmore", message{marked: true, rest: "more"}},
		"304":               {"GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\nmore", message{marked: true, rest: "more"}},
		"103":               {"GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nmore", message{marked: true, rest: "more"}},
		"space in chunks":   {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a[\"b;c\"\r\nhello\r\n0\t ;las \r\n\r\nmore", message{body: "hello", marked: true, rest: "more"}},
		"chunks":            {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n00a;x=\"y;z\" ; q\r\n0123456789\r\n0\r\n\r\nmore", message{body: "ok0123456789", marked: true, rest: "more"}},
		"large chunks":      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n" + big + "\r\n186a0 ;x\r\n" + big + "\r\n0\r\n\r\nmore", message{body: big + big, marked: true, rest: "more"}},
		"no chunks":         {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0;x\r\n\r\nmore", message{marked: true, rest: "more"}},
		"trailers":          {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-Sum: 1\r\nB:\r\n\r\nmore", message{body: "ok", trailer: wire.Fields{{"x-Sum", "1"}, {"B", ""}}, marked: true, rest: "more"}},
		"no reason":         {"GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", message{marked: true}},
		"no space either":   {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", message{marked: true}},
		"status 999":        {"GET", "HTTP/1.1 999 Request\tdenied \xe4\r\nContent-Length: 0\r\n\r\n", message{marked: true}},
		"LF alone":          {"GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nokmore", message{head: wire.Answer{Last: true}, body: "ok", marked: true, rest: "more"}},
		"status line in LF": {"GET", "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nokmore", message{head: wire.Answer{Last: true}, body: "ok", marked: true, rest: "more"}},
		"HTTP/1.0":          {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", message{head: wire.Answer{Last: true}, body: "ok", marked: true}},
		"Connection: close": {"GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", message{head: wire.Answer{Last: true}, body: "ok", marked: true}},
	} {
		for _, size := range []int{1, 7, 32 << 10} {
			for pieces, src := range map[string]io.Reader{
				"one byte": iotest.OneByteReader(strings.NewReader(test.text)),
				"half":     iotest.HalfReader(strings.NewReader(test.text)),
				"whole":    strings.NewReader(test.text),
				"with EOF": iotest.DataErrReader(strings.NewReader(test.text)),
			} {
				got, err := readMessage(src, test.method, size)
				if err != nil || got.body != test.want.body || got.rest != test.want.rest || got.marked != test.want.marked ||
					got.head.Last != test.want.head.Last || !slices.Equal(got.trailer, test.want.trailer) {
					t.Errorf("%s, reads of %d, pieces: %s: %.200v, %v", name, size, pieces, got, err)
				}
			}
		}
	}
}

func TestAnswersRefused(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	)
	for name, text := range map[string]string{
		"another protocol":         "220 mail.example.com ESMTP\r\n",
		"TLS":                      "\x15\x03\x01\x00\x02\x02\x16",
		"an empty line first":      "\r\n" + ok + "\r\n",
		"HTTP/1.2":                 "HTTP/1.2 200 OK\r\n\r\n",
		"HTTP/1.":                  "HTTP/1. 200 OK\r\n\r\n",
		"HTTP/2.0":                 "HTTP/2.0 200 OK\r\n\r\n",
		"lower case":               "http/1.1 200 OK\r\n\r\n",
		"two spaces":               "HTTP/1.1  200 OK\r\n\r\n",
		"a tab":                    "HTTP/1.1\t200 OK\r\n\r\n",
		"no status":                "HTTP/1.1\r\n\r\n",
		"status 000":               "HTTP/1.1 000 None\r\n\r\n",
		"status 099":               "HTTP/1.1 099 Low\r\n\r\n",
		"status 1000":              "HTTP/1.1 1000 High\r\n\r\n",
		"status 20":                "HTTP/1.1 20 OK\r\n\r\n",
		"status -99":               "HTTP/1.1 -99 Low\r\n\r\n",
		"status +20":               "HTTP/1.1 +20 OK\r\n\r\n",
		"status 2x0":               "HTTP/1.1 2x0 OK\r\n\r\n",
		"CR in the reason":         "HTTP/1.1 200 O\rK\r\n\r\n",
		"NUL in the reason":        "HTTP/1.1 200 O\x00K\r\n\r\n",
		"a folded line":            ok + "A: b\r\n c\r\n\r\n",
		"a folded status line":     "HTTP/1.1 200\r\n OK\r\n\r\n",
		"two lengths":              ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"one length twice":         ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"a list of lengths":        ok + "Content-Length: 1, 1\r\n\r\na",
		"a length with a sign":     ok + "Content-Length: +1\r\n\r\na",
		"both lengths":             ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"identity":                 ok + "Transfer-Encoding: identity\r\n\r\n",
		"chunked twice":            ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"gzip, chunked":            ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"chunked in HTTP/1.0":      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"endless head":             ok + "X: " + strings.Repeat("x", 2<<20),
		"many fields":              ok + strings.Repeat("X: y\r\n", 20_000) + "\r\n",
		"no size of a chunk":       chunked + "\r\nok",
		"size with 0x":             chunked + "0x2\r\nok\r\n0\r\n\r\n",
		"size with a sign":         chunked + "+2\r\nok\r\n0\r\n\r\n",
		"size with a minus":        chunked + "-2\r\nok\r\n0\r\n\r\n",
		"size with _":              chunked + "0_2\r\nok\r\n0\r\n\r\n",
		"size after a space":       chunked + " 2\r\nok\r\n0\r\n\r\n",
		"size before a space":      chunked + "2 \r\nok\r\n0\r\n\r\n",
		"size that overflows":      chunked + "8000000000000000\r\nok\r\n0\r\n\r\n",
		"size that wraps":          chunked + "10000000000000002\r\nok\r\n0\r\n\r\n",
		"size with many zeros":     chunked + "00000000000000002\r\nok\r\n0\r\n\r\n",
		"LF behind a size":         chunked + "2\nok\r\n0\r\n\r\n",
		"LF behind a chunk":        chunked + "2\r\nok\n0\r\n\r\n",
		"LF behind the last chunk": chunked + "2\r\nok\r\n0\n\r\n",
		"LF as the last line":      chunked + "2\r\nok\r\n0\r\n\n",
		"LF behind a trailer":      chunked + "0\r\nA: b\n\r\n",
		"CR behind a size":         chunked + "2\rok\r\n0\r\n\r\n",
		"CR in an extension":       chunked + "2;a\rb\r\nok\r\n0\r\n\r\n",
		"NUL in an extension":      chunked + "2;a\x00\r\nok\r\n0\r\n\r\n",
		"a chunk too long":         chunked + "2\r\noko\r\n0\r\n\r\n",
		"a chunk too short":        chunked + "3\r\nok\r\n0\r\n\r\n",
		"a long extension":         chunked + "2;" + strings.Repeat("x", 5000) + "\r\nok\r\n0\r\n\r\n",
		"an endless extension":     chunked + "2;" + strings.Repeat("x", 1<<20),
		"many extensions":          chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 100) + "0\r\n\r\n",
		"a folded trailer":         chunked + "0\r\nA: b\r\n c\r\n\r\n",
		"a trailer with a space":   chunked + "0\r\nA : b\r\n\r\n",
		"an endless trailer":       chunked + "0\r\nX: " + strings.Repeat("x", 2<<20),
	} {
		for _, size := range []int{1, 32 << 10} {
			m, err := readMessage(strings.NewReader(text), http.MethodGet, size)
			var refused *wire.Error
			if !errors.As(err, &refused) || refused.Hint() == "" {
				t.Errorf("%s: %.100q, %v", name, m.body, err)
			}
		}
	}
}

// A program that waits after its greeting is refused before it sends more.
func TestNoAnswerIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	for _, greeting := range []string{"220 ", "SSH-2.0-x\r\n", "HTTP/2", "\x15\x03\x03"} {
		src := io.MultiReader(strings.NewReader(greeting), iotest.ErrReader(errors.New("read on")))
		_, err := wire.NewReader(src, new(wire.Buffers)).ReadAnswer(limit)
		if refused := new(wire.Error); !errors.As(err, &refused) {
			t.Errorf("%q: %v", greeting, err)
		}
	}
}

// An answer that breaks off never looks complete, wherever it breaks.
func TestAnswersCut(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
	} {
		for n := range len(text) {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if m, err := readMessage(strings.NewReader(text[:n]), http.MethodGet, 100); !errors.Is(err, want) {
				t.Errorf("%q: %+v, %v", text[:n], m, err)
			}
		}
	}
}

// Ready is true when, and only when, Read needs nothing from the connection.
func TestReady(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "2": false, "2\r\n": false, "2\r\no": true, "0\r\n": false, "0\r\n\r\n": true, "x\r\n": true} {
		src := io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+text), iotest.ErrReader(io.ErrNoProgress))
		r := wire.NewReader(src, new(wire.Buffers))
		head, err := r.ReadAnswer(limit)
		if err != nil {
			t.Fatal(err)
		}
		framing, _ := head.Framing(http.MethodGet)
		var body wire.Body
		body.Start(r, framing, limit)
		ready := body.Ready()
		_, err = body.Read(make([]byte, 100))
		if ready != want || ready == errors.Is(err, io.ErrNoProgress) {
			t.Errorf("%q: ready %t, then %v", text, ready, err)
		}
	}
}

// What is written is read back.
func TestChunks(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 15, 16, 255, 4096, 1 << 20} {
		data := strings.Repeat("x", n)
		b := make([]byte, wire.ChunkFront+n+wire.ChunkBack)
		copy(b[wire.ChunkFront:], data)
		text := append([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), wire.Chunk(b, n)...)
		trailer := wire.Fields{{"A", "b"}, {"c", ""}}
		text = wire.AppendLastChunk(text, trailer)
		if m, err := readMessage(bytes.NewReader(text), http.MethodGet, 4096); m.body != data || !slices.Equal(m.trailer, trailer) || err != nil {
			t.Errorf("%d: %.100q, %v", n, text, err)
		}
	}
	for _, f := range []wire.Field{{"", "x"}, {"A b", "x"}, {"A", "x\r\nB: y"}, {"A", "x\ny"}, {"A", "\x00"}, {"A:", "x"}} {
		if (wire.Fields{f}).Check() == nil {
			t.Errorf("%q may be written", f)
		}
	}
}

// spacedExtension finds a chunk whose size is followed by space and extensions.
var spacedExtension = regexp.MustCompile(`(?m)^[0-9A-Fa-f]+[ \t]+;`)

// FuzzAnswers compares with net/http: less is accepted, and what is accepted is
// read the same way, to the byte.
func FuzzAnswers(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
		"HTTP/1.1 200 OK\nContent-Length : 2\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\nmore",
		"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 304\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\n\r\nto the end",
	} {
		f.Add([]byte(text), true, uint8(3))
		f.Add([]byte(text), false, uint8(255))
	}
	corpus, err := conformance.Answers()
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range corpus {
		f.Add([]byte(e.Text("answer")), e.Fields["ask"] == http.MethodHead, uint8(255))
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool, size uint8) {
		if len(data) > 4<<10 {
			return // net/http bounds trailer sections by that
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		got, err := readMessage(iotest.HalfReader(bytes.NewReader(data)), method, int(size)+1)
		if err != nil {
			return
		}
		buffered := bufio.NewReader(bytes.NewReader(data))
		res, err := http.ReadResponse(buffered, &http.Request{Method: method})
		if err != nil {
			if got.head.Status < 200 || got.head.Fields.Has("Trailer") {
				return // net/http looks at lengths that do not count, and at announcements
			}
			t.Fatalf("%q is accepted, but %v", data, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil && strings.HasPrefix(got.body, string(body)) && spacedExtension.Match(data) {
			return // net/http does not know the space that recipients must (RFC 9112, section 7.1.1)
		}
		if err != nil || string(body) != got.body || res.StatusCode != got.head.Status {
			t.Fatalf("%q: %d %q, want %d %q, %v", data, got.head.Status, got.body, res.StatusCode, body, err)
		}
		if rest, _ := io.ReadAll(buffered); string(rest) != got.rest {
			t.Fatalf("%q: leaves %q, want %q", data, got.rest, rest)
		}
		if res.Close && !got.head.Last && got.marked {
			t.Fatalf("%q: the connection is kept, net/http closes it", data)
		}
		for _, field := range got.head.Fields {
			switch http.CanonicalHeaderKey(field.Name) {
			case "Transfer-Encoding", "Trailer", "Content-Length", "Connection":
				continue // moved by net/http
			}
			if !slices.Contains(res.Header.Values(field.Name), field.Value) {
				t.Fatalf("%q: %q, want %q", data, got.head.Fields, res.Header)
			}
		}
		for _, field := range got.trailer {
			if !slices.Contains(res.Trailer.Values(field.Name), field.Value) {
				t.Fatalf("%q: %q, want %q", data, got.trailer, res.Trailer)
			}
		}
	})
}
