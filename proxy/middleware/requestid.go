package middleware

import (
	"encoding/hex"
	"io"
	"net/http"
)

// maxRequestID bounds the length of a request id that a trusted proxy sends.
const maxRequestID = 128

// requestID takes over the id that a trusted proxy gave, so that its log and
// ours can be read together, and makes one otherwise: 32 hexadecimal digits.
func requestID(r *http.Request, trusted bool, random io.Reader) string {
	if given := r.Header["X-Request-Id"]; trusted && len(given) == 1 && wellFormedID(given[0]) {
		return given[0]
	}
	var id [16]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "unknown" // a request is served without an id rather than not at all
	}
	return hex.EncodeToString(id[:])
}

func wellFormedID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
