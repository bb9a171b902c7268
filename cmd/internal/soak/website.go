package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A target is /KIND/NAME/SIZE. The name is of one request alone.
const (
	kindLength  = "length"  // an answer with Content-Length
	kindChunked = "chunked" // in chunks, with the body's checksum as a trailer
	kindSlow    = "slow"    // with Content-Length and pauses
	kindEmpty   = "empty"   // 204
	kindCut     = "cut"     // ends in the middle of the body
	kindUpload  = "upload"  // answers with the checksum of what was sent
	kindEarly   = "early"   // answers an upload before it has read it
	kindTunnel  = "tunnel"  // an upgrade; sends back what comes
)

// page is the body that belongs to a request: its target, and bytes that follow from it.
func page(target string, size int) []byte {
	h := fnv.New64a()
	_, _ = io.WriteString(h, target)
	body := make([]byte, len(target)+1+size)
	n := copy(body, target)
	body[n] = '\n'
	source := rand.NewChaCha8([32]byte(bytes.Repeat(h.Sum(nil), 4)))
	_, _ = source.Read(body[n+1:])
	return body
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// website is what stands behind the program. It runs in a process of its own, which
// is killed and started again.
func website(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

func answer(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) != 4 {
		http.NotFound(w, r)
		return
	}
	size, _ := strconv.Atoi(parts[3])
	body := page(r.URL.Path, size)
	h := w.Header()
	h.Set("X-Name", parts[2])
	h.Set("Content-Type", "application/octet-stream")
	switch parts[1] {
	case kindLength, kindSlow, kindCut:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if parts[1] == kindLength {
			_, _ = w.Write(body)
			return
		}
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		if parts[1] == kindCut {
			panic(http.ErrAbortHandler)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = w.Write(body[len(body)/2:])
	case kindChunked:
		h.Set("Trailer", "X-Sum")
		for len(body) > 0 {
			n := min(len(body), 7777)
			_, _ = w.Write(body[:n])
			_ = http.NewResponseController(w).Flush()
			body = body[n:]
		}
		h.Set("X-Sum", checksum(page(r.URL.Path, size)))
	case kindEmpty:
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
	case kindUpload:
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s", parts[2], checksum(sent))
	case kindEarly:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, parts[2])
	case kindTunnel:
		tunnel(w, parts[2])
	}
}

func tunnel(w http.ResponseWriter, name string) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Name: %s\r\n\r\n", name)
	_, _ = io.Copy(conn, buffered)
}
