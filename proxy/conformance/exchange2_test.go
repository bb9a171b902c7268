package conformance_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames writes HTTP/2 frames of a script, well-formed or not, and keeps what is answered.
type frames struct {
	*http2.Framer
	fields  bytes.Buffer
	hpack   *hpack.Encoder
	opened  []uint32
	streams map[uint32]*answer
	ended   map[uint32]bool
	fault   error // that ended the connection
}

// until reads frames until the stream has ended, or has begun its body where that is enough.
func (f *frames) until(id uint32, begun bool) {
	for !f.ended[id] && f.fault == nil && (!begun || f.streams[id] == nil || f.streams[id].body == "") {
		f.fault = f.readFrame()
	}
}

// headers writes a HEADERS frame with these fields.
func (f *frames) headers(id uint32, end bool, fields []field) error {
	f.fields.Reset()
	for _, one := range fields {
		if err := f.hpack.WriteField(hpack.HeaderField{Name: one.name, Value: one.value}); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.fields.Bytes(), EndStream: end, EndHeaders: true})
}

// request are the pseudo-header fields of an ordinary request.
func pseudo(method, host, path string) []field {
	return []field{{":method", method}, {":scheme", "https"}, {":authority", host}, {":path", path}}
}

// script writes lines such as those of a block:
//
//	request 1 [end] METHOD PATH     HEADERS with the four pseudo-header fields, and the indented fields that follow
//	headers 1 [end]                 HEADERS with the indented fields that follow alone
//	data 1 [end] TEXT               DATA
//	reset 1                         RST_STREAM with CANCEL
//	answer 1                        waits until the stream is answered
//	begun 1                         waits until some of its body is there
//	late 1                          lets the website send what comes late
func (e entry) script(t testing.TB, lines []string, site *website, f *frames) {
	t.Helper()
	for i := 0; i < len(lines); i++ {
		words := strings.SplitN(lines[i], " ", 3)
		if len(words) < 2 {
			t.Fatalf("%s: the line %q of the script", e.Name, lines[i])
		}
		number, err := strconv.ParseUint(words[1], 10, 31)
		if err != nil {
			t.Fatalf("%s: the line %q of the script: %v", e.Name, lines[i], err)
		}
		id, rest := uint32(number), ""
		if len(words) == 3 {
			rest = words[2]
		}
		end := rest == "end" || strings.HasPrefix(rest, "end ")
		if end {
			rest = strings.TrimPrefix(strings.TrimPrefix(rest, "end"), " ")
		}
		switch words[0] {
		case "request", "headers":
			var fields []field
			if words[0] == "request" {
				method, path, _ := strings.Cut(rest, " ")
				fields = pseudo(method, e.Host(), e.Expand(path))
			}
			for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
				i++
				name, value, _ := strings.Cut(lines[i][1:], ": ")
				fields = append(fields, field{e.Expand(name), e.Expand(value)})
			}
			if !slices.Contains(f.opened, id) {
				f.opened = append(f.opened, id)
			}
			err = f.headers(id, end, fields)
		case "data":
			err = f.WriteData(id, end, []byte(e.Expand(rest)))
		case "reset":
			f.ended[id], err = true, f.WriteRSTStream(id, http2.ErrCodeCancel)
		case "answer", "begun":
			f.until(id, words[0] == "begun")
		case "late":
			site.sendLate("/" + e.Name)
		default:
			t.Fatalf("%s: the line %q of the script", e.Name, lines[i])
		}
		if err != nil {
			return // the server has closed
		}
	}
}

// exchange2 plays a script over HTTP/2, waits until the streams that must be answered have ended, and then asks for after
// on a stream of its own.
func (e entry) exchange2(t testing.TB, p *program, lines []string, patience time.Duration) (o outcome, err error) {
	t.Helper()
	conn, err := p.dial(e.Host(), "h2")
	if err != nil {
		return o, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return o, err
	}
	f := &frames{Framer: http2.NewFramer(conn, conn), streams: map[uint32]*answer{}, ended: map[uint32]bool{}}
	f.AllowIllegalWrites, f.ReadMetaHeaders = true, hpack.NewDecoder(4096, nil)
	f.hpack = hpack.NewEncoder(&f.fields)
	if err := f.WriteSettings(); err != nil {
		return o, err
	}
	e.script(t, lines, p.sites[e.Name], f)
	for _, id := range f.opened {
		f.until(id, false)
	}
	last := slices.Max(append(f.opened, 1)) + 2
	if f.fault == nil {
		f.fault = f.headers(last, true, pseudo(http.MethodGet, e.Host(), e.after()))
		f.until(last, false)
	}
	for _, id := range append(f.opened, last) {
		if a := f.streams[id]; a != nil {
			o.answers = append(append(o.answers, a.interim...), *a)
		}
	}
	var timeout net.Error
	o.hung = errors.As(f.fault, &timeout) && timeout.Timeout()
	o.lastPage(e)
	return o, nil
}

// readFrame reads the next frame, answers what must be answered, and notes what happened to its stream.
func (f *frames) readFrame() error {
	frame, err := f.ReadFrame()
	if err != nil {
		return err
	}
	id := frame.Header().StreamID
	if f.streams[id] == nil && id != 0 {
		f.streams[id] = &answer{fields: http.Header{}, trailers: http.Header{}}
	}
	s := f.streams[id]
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return f.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return f.WritePing(true, frame.Data)
		}
	case *http2.MetaHeadersFrame:
		fields := s.fields
		if s.status != 0 {
			fields = s.trailers
		}
		for _, h := range frame.Fields {
			if h.Name != ":status" {
				fields.Add(h.Name, h.Value)
			} else if s.status, err = strconv.Atoi(h.Value); err != nil {
				return fmt.Errorf("the status %q", h.Value)
			}
		}
		if s.status >= 100 && s.status < 200 {
			s.interim = append(s.interim, answer{status: s.status, fields: fields})
			s.status, s.fields = 0, http.Header{}
		}
		f.ended[id] = f.ended[id] || frame.StreamEnded()
	case *http2.DataFrame:
		s.body += string(frame.Data())
		f.ended[id] = f.ended[id] || frame.StreamEnded()
	case *http2.RSTStreamFrame:
		// What was answered before the request ended may be followed by a reset without an error.
		if !f.ended[id] {
			f.ended[id], s.cut = true, true
		}
	}
	return nil
}
