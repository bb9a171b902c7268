package wire

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// BufferSize is the size of the buffers that Buffers keeps, in bytes.
const BufferSize = 16 << 10

// Buffers keeps buffers for many connections: one holds none while nothing of a
// message is in it. The zero value is ready.
type Buffers struct{ pool sync.Pool }

// Get returns a buffer of BufferSize bytes.
func (p *Buffers) Get() []byte {
	if buf, ok := p.pool.Get().(*[BufferSize]byte); ok {
		return buf[:]
	}
	return make([]byte, BufferSize)
}

// Put takes a buffer back; one of another size is left to the garbage collector.
func (p *Buffers) Put(buf []byte) {
	if len(buf) == BufferSize {
		p.pool.Put((*[BufferSize]byte)(buf)) // a pointer, so that nothing is allocated
	}
}

// Reader reads from a connection through a buffer.
type Reader struct {
	src        io.Reader
	buffers    *Buffers
	buf        []byte
	begin, end int // what is read of the connection and not of the Reader

	narrow []byte // is buf while little is expected
}

// NewReader returns a Reader for a connection.
func NewReader(src io.Reader, buffers *Buffers) *Reader {
	return &Reader{src: src, buffers: buffers}
}

// Buffered returns the bytes that were read from the connection and not yet taken.
// They are valid until the next call.
func (r *Reader) Buffered() []byte { return r.buf[r.begin:r.end] }

// Give hands over what was read of the connection by other means, the first n bytes of a
// buffer from the Reader's Buffers. Nothing may be buffered.
func (r *Reader) Give(buf []byte, n int) {
	r.release()
	r.buf, r.begin, r.end = buf, 0, n
}

// Discard drops everything buffered.
func (r *Reader) Discard() {
	r.begin = r.end
	r.release()
}

// release gives an empty buffer back.
func (r *Reader) release() {
	if r.begin == r.end && r.buf != nil {
		r.buffers.Put(r.buf)
		r.buf, r.begin, r.end = nil, 0, 0
	}
}

func (r *Reader) take(n int) []byte {
	taken := r.buf[r.begin : r.begin+n]
	r.begin += n
	return taken
}

// lean is a connection that can wait for bytes without a buffer.
type lean interface {
	// ReadLean waits, takes a buffer, and reads into it. It returns none with an error.
	ReadLean(*Buffers) (buf []byte, n int, err error)
}

// Fill reads from the connection once. A full buffer grows. little: hardly anything
// is expected to come soon, so the connection may wait with a small buffer if it
// cannot wait without one.
func (r *Reader) Fill(little bool) (err error) {
	if src, ok := r.src.(lean); ok && r.buf == nil {
		if r.buf, r.end, err = src.ReadLean(r.buffers); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	switch {
	case r.buf == nil && little:
		const narrow = 512
		if r.narrow == nil {
			r.narrow = make([]byte, narrow)
		}
		r.buf = r.narrow
	case r.buf == nil:
		r.buf = r.buffers.Get()
	case r.begin == r.end:
		r.begin, r.end = 0, 0
	case r.end == len(r.buf):
		old := r.buf
		switch {
		case r.begin > 0: // there is room in front
		case len(old) < BufferSize:
			r.buf = r.buffers.Get()
		default:
			r.buf = make([]byte, 2*len(old))
			defer r.buffers.Put(old)
		}
		r.end = copy(r.buf, old[r.begin:r.end])
		r.begin = 0
	}
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// Read returns what is buffered, then what comes. It is what reads a connection
// that has become something other than HTTP.
func (r *Reader) Read(p []byte) (int, error) {
	if r.begin == r.end {
		r.release()
		return r.src.Read(p)
	}
	n := copy(p, r.Buffered())
	r.begin += n
	return n, nil
}

// section reads up to the end of a head of at most limit bytes and returns its
// text. check sees what has come after each read.
func (r *Reader) section(limit int, check func([]byte) error) (string, error) {
	for searched := 0; ; {
		if r.begin < r.end {
			got := r.Buffered()
			if err := check(got); err != nil {
				return "", err
			}
			n := SectionEnd(got, searched)
			if n > limit || n == 0 && len(got) >= limit {
				return "", tooLarge(limit)
			}
			if n > 0 {
				return string(r.take(n)), nil
			}
			searched = len(got)
		}
		if err := r.Fill(false); err != nil {
			if searched > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

func tooLarge(limit int) error {
	return &Error{fmt.Sprintf("the fields are longer than %d bytes", limit), "does the application set very many cookies, or put data into fields?"}
}
