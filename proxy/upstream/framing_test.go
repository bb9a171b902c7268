package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// FuzzFraming compares where an answer ends with where net/http takes it to end.
// If net/http would keep the connection, both must agree to the byte.
func FuzzFraming(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok",
		"HTTP/1.1 200 OK\nContent-Length : 2\nContent-Length: 2\n\nok",
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n z\r\n\r\nmore",
		"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1  304\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(answer), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		source := bytes.NewReader(data)
		buffered := bufio.NewReader(source)
		var res *http.Response
		for res == nil || res.StatusCode >= 100 && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			var err error
			if res, err = http.ReadResponse(buffered, &http.Request{Method: http.MethodGet}); err != nil {
				return
			}
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Close || res.StatusCode < 100 {
			return // the connection is not kept
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return
		}
		want := len(data) - source.Len() - buffered.Buffered()

		answers := framing{phase: head, first: true, length: -1}
		got := 0
		for rest := data; len(rest) > 0 && answers.phase != ended; {
			n := answers.follow(rest[:min(len(rest), int(piece)+1)])
			got += n
			rest = rest[n:]
			if answers.phase == raw {
				t.Fatalf("%q: the end was not found, want it after %d bytes", data, want)
			}
		}
		if answers.phase != ended || got != want {
			t.Fatalf("%q: ends after %d bytes (phase %d), want %d", data, got, answers.phase, want)
		}
	})
}
