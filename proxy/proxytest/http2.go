package proxytest

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Stream is what came back on one HTTP/2 stream: an answer, or a code by which the
// stream or the connection was ended.
type Stream struct {
	Status string
	Fields map[string]string
	Body   string
	Reset  http2.ErrCode
}

// HTTP2 opens a connection to a server and sends one request whose fields, those with
// a colon included, go out as they stand. The body may be nil: the request has none then.
func HTTP2(t testing.TB, addr, serverName string, fields [][2]string, body []byte) Stream {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: serverName, NextProtos: []string{"h2"}, InsecureSkipVerify: true}) // one certificate for all names
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(Patience))
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.WriteSettings()
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, f := range fields {
		encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndStream: body == nil, EndHeaders: true})
	if body != nil {
		framer.WriteData(1, true, body)
	}
	answer := Stream{Fields: map[string]string{}}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("answer to %q: %v", fields, err)
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			for _, f := range frame.Fields {
				answer.Fields[f.Name] = f.Value
			}
			answer.Status, ended = frame.PseudoValue("status"), frame.StreamEnded()
		case *http2.DataFrame:
			answer.Body += string(frame.Data())
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			answer.Reset, ended = frame.ErrCode, true
		case *http2.GoAwayFrame:
			answer.Reset, ended = frame.ErrCode, true
		}
		if ended {
			return answer
		}
	}
}
