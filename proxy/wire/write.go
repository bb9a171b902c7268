package wire

import "strconv"

// AppendFields adds field lines to a head or a trailer section.
func AppendFields(b []byte, fields Fields) []byte {
	for _, f := range fields {
		b = AppendField(b, f.Name, f.Value)
	}
	return b
}

// AppendField adds a field line.
func AppendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// Check refuses what cannot be written as field lines.
func (fs Fields) Check() error {
	for _, f := range fs {
		if !IsToken(f.Name) || !IsText(f.Value) {
			return &Error{"a field cannot be sent over HTTP/1.1", "its name is no token or its value holds a control character (RFC 9110, section 5)"}
		}
	}
	return nil
}

// ChunkFront and ChunkBack are how many bytes Chunk needs before and behind its
// data.
const (
	ChunkFront = 10 // eight digits and a line end
	ChunkBack  = 2
)

// Chunk makes a chunk of the n bytes behind the first ChunkFront bytes of b, which
// has room for ChunkBack more, and returns the part of b that it fills. n is at
// least 1: an empty chunk ends a body.
func Chunk(b []byte, n int) []byte {
	var digits [8]byte
	size := strconv.AppendUint(digits[:0], uint64(n), 16)
	begin := ChunkFront - len("\r\n") - len(size)
	copy(b[begin:], size)
	copy(b[begin+len(size):], "\r\n")
	copy(b[ChunkFront+n:], "\r\n")
	return b[begin : ChunkFront+n+ChunkBack]
}

// AppendLastChunk ends a body in chunks, with its trailer section.
func AppendLastChunk(b []byte, trailer Fields) []byte {
	b = append(b, "0\r\n"...)
	b = AppendFields(b, trailer)
	return append(b, "\r\n"...)
}
