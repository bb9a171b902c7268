package wire

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

const (
	maxChunkLine = 4 << 10 // of a chunk's size and its extensions
	// How much more than data the lines of the chunks of one body may be: a sender
	// of single bytes with long extensions costs much and says little.
	maxChunkExcess = 64 << 10
)

// Body reads the body of a message. It returns io.EOF where the framing says that
// it ends, with the last bytes if it can, and io.ErrUnexpectedEOF when the
// connection ends before.
type Body struct {
	reader  *Reader
	limit   int // of the trailer section
	part    part
	left    int64 // bytes of data up to the end of the body or the chunk
	chunked bool
	excess  int64
	seen    int // bytes of the trailer section that hold no end of it
	trailer Fields
	err     error // that every further Read returns
}

// part is what comes next.
type part int

const (
	data part = iota
	dataToClose
	chunkSize
	chunkEnd // the line end behind a chunk
	trailers
	ended
)

// Start begins a body. Its trailer section may have at most limit bytes.
func (b *Body) Start(r *Reader, f Framing, limit int) {
	*b = Body{reader: r, limit: limit, chunked: f.Chunked, left: f.Length}
	switch {
	case f.Chunked:
		b.part = chunkSize
	case f.Length < 0:
		b.part = dataToClose
	case f.Length == 0:
		b.part = ended
	}
}

// Complete reports whether the body was read to an end that its framing marks, so
// that what follows on the connection is not part of it.
func (b *Body) Complete() bool { return b.part == ended }

// Trailer returns the trailer section of a complete body.
func (b *Body) Trailer() Fields { return b.trailer }

// Ready reports whether Read returns without reading from the connection.
func (b *Body) Ready() bool {
	if b.err == nil {
		b.err = b.advance()
	}
	return b.err != nil || (b.part == data || b.part == dataToClose) && len(b.reader.Buffered()) > 0
}

// Read returns data, of several chunks if they are there. It is a small p that lets a
// connection wait without a large buffer.
func (b *Body) Read(p []byte) (n int, err error) {
	r := b.reader
	for {
		if b.err == nil {
			b.err = b.advance()
		}
		if b.err != nil {
			return n, b.err
		}
		inData := b.part == data || b.part == dataToClose
		room := p[n:]
		if b.part == data {
			room = room[:min(int64(len(room)), b.left)]
		}
		switch {
		case inData && len(r.Buffered()) > 0 && len(room) > 0:
			m := copy(room, r.Buffered())
			r.begin += m
			b.got(m)
			n += m
		case n > 0 || len(p) == 0:
			return n, nil
		case inData && len(room) >= BufferSize: // past the buffer
			r.release()
			m, err := r.src.Read(room)
			b.got(m)
			n += m
			if m == 0 && err != nil {
				b.fail(err)
			}
		default:
			if err := r.Fill(len(p) < BufferSize/4); err != nil {
				b.fail(err)
			}
		}
	}
}

// got counts data.
func (b *Body) got(n int) {
	if b.part == dataToClose {
		return
	}
	if b.left -= int64(n); b.left > 0 {
		return
	}
	b.part = ended
	if b.chunked {
		b.part = chunkEnd
	}
}

func (b *Body) fail(err error) {
	if errors.Is(err, io.EOF) && b.part != dataToClose {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
}

// advance takes from the buffer what stands between data, as far as it is there,
// and returns io.EOF at the end.
func (b *Body) advance() error {
	for {
		got := b.reader.Buffered()
		switch b.part {
		case data, dataToClose:
			return nil
		case ended:
			b.reader.release()
			return io.EOF
		case chunkEnd:
			const crlf = "\r\n"
			n := min(len(got), len(crlf))
			switch {
			case string(got[:n]) != crlf[:n]:
				return &Error{"there is no line end behind a chunk", "a chunk has the size that its line says (RFC 9112, section 7.1)"}
			case n < len(crlf):
				return nil
			}
			b.reader.take(n)
			b.part = chunkSize
		case chunkSize:
			n := bytes.IndexByte(got, '\n') + 1
			switch {
			case n > maxChunkLine || n == 0 && len(got) >= maxChunkLine:
				return &Error{"the line of a chunk is too long", "extensions of chunks are to be short (RFC 9112, section 7.1.1)"}
			case n == 0:
				return nil
			}
			size, err := parseChunk(got[:n])
			if err != nil {
				return err
			}
			const usual, perByte = 16, 2 // what does not count
			b.excess = max(0, b.excess+int64(n)-usual-perByte*min(size, maxChunkLine))
			if b.excess > maxChunkExcess {
				return &Error{"the lines of the chunks are longer than their data", "extensions of chunks are to be few (RFC 9112, section 7.1.1)"}
			}
			b.reader.take(n)
			b.left = size
			b.part = data
			if size == 0 {
				b.part = trailers
			}
		case trailers:
			n := SectionEnd(got, b.seen)
			switch {
			case n > b.limit || n == 0 && len(got) >= b.limit:
				return tooLarge(b.limit)
			case n == 0:
				b.seen = len(got)
				return nil
			}
			fields, bare, err := ParseFields(nil, string(got[:n]))
			switch {
			case err != nil:
				return err
			case bare:
				return errBareLF
			}
			b.reader.take(n)
			b.trailer, b.part = fields, ended
		}
	}
}

var errBareLF = &Error{"a line of the chunked body ends with LF alone", "lines end with CRLF (RFC 9112, section 7.1)"}

// parseChunk reads the line in front of a chunk: its size, and extensions that say
// nothing to us (RFC 9112, section 7.1.1).
func parseChunk(line []byte) (int64, error) {
	line, found := bytes.CutSuffix(line, []byte("\r\n"))
	if !found {
		return 0, errBareLF
	}
	digits, extensions, found := bytes.Cut(line, []byte(";"))
	if found {
		digits = bytes.TrimRight(digits, " \t")
	}
	if !IsText(string(extensions)) {
		return 0, &Error{"an extension of a chunk holds a control character", "it holds neither CR nor NUL (RFC 9112, section 7.1.1)"}
	}
	size, err := strconv.ParseUint(string(digits), 16, 63)
	const most = 16 // digits
	if err != nil || len(digits) > most {
		return 0, &Error{"the size of a chunk is not a number", "it is hexadecimal digits and nothing else (RFC 9112, section 7.1)"}
	}
	return int64(size), nil
}
