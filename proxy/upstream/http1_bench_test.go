//go:build unix

package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/wire"
)

// BenchmarkExchange asks for one KiB by the client and by http.Transport, on the same
// input, from a website that costs little.
func BenchmarkExchange(b *testing.B) {
	fields, _, err := wire.ParseFields(nil, "User-Agent: benchmark\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\nCookie: a=1; b=2\r\n"+
		"Via: 1.1 persona\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
	if err != nil {
		b.Fatal(err)
	}
	head := "HTTP/1.1 200 OK\r\nServer: test\r\nDate: Wed, 25 Nov 2026 16:00:00 GMT\r\nContent-Type: text/html\r\nETag: \"x\"\r\nVary: Accept\r\n"
	for name, answer := range map[string]string{
		"length": head + "Content-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024),
		"chunks": head + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n",
	} {
		address := cannedSite(b, answer)
		b.Run(name+"/client", func(b *testing.B) {
			client := newHTTP1(endpoint{network: "tcp", address: address, timeout: DefaultTimeout, headerBytes: 64 << 10})
			b.Cleanup(client.close)
			benchmarkExchange(b, func(ctx context.Context, buf []byte) (int, error) {
				a, err := client.exchange(ctx, &request{method: "GET", target: "/index.html", host: "example.com", fields: fields})
				if err != nil {
					return 0, err
				}
				defer a.body.close()
				return io.ReadFull(a.body, buf)
			})
		})
		b.Run(name+"/nothing", func(b *testing.B) { // what the sockets and the website cost
			benchmarkExchange(b, bare(b, address, len(answer)))
		})
		b.Run(name+"/transport", func(b *testing.B) {
			transport := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
			b.Cleanup(transport.CloseIdleConnections)
			benchmarkExchange(b, func(ctx context.Context, buf []byte) (int, error) {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/index.html", nil)
				if err != nil {
					return 0, err
				}
				r.Host = "example.com"
				for _, f := range fields {
					r.Header[f.Name] = []string{f.Value}
				}
				res, err := transport.RoundTrip(r)
				if err != nil {
					return 0, err
				}
				defer res.Body.Close()
				return io.ReadFull(res.Body, buf)
			})
		})
	}
}

// benchmarkExchange reports the CPU time of a request as well, the website's included.
func benchmarkExchange(b *testing.B, ask func(ctx context.Context, buf []byte) (int, error)) {
	b.Helper()
	b.ReportAllocs()
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for buf := make([]byte, 1025); pb.Next(); {
			if n, err := ask(ctx, buf); n != 1024 || !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Error(n, err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) int64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// cannedSite starts a website that answers every head with the same bytes.
func cannedSite(b *testing.B, answer string) string {
	reply := []byte(answer)
	listener := proxytest.Listen(b)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for n := 0; ; {
					m, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						_, _ = conn.Write(reply)
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// bare returns a function that asks without reading what comes.
func bare(b *testing.B, address string, length int) func(context.Context, []byte) (int, error) {
	request := []byte("GET /index.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: benchmark\r\nAccept: text/html\r\n\r\n")
	conns := sync.Pool{New: func() any {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		return conn
	}}
	return func(context.Context, []byte) (int, error) {
		conn := conns.Get().(net.Conn)
		defer conns.Put(conn)
		if _, err := conn.Write(request); err != nil {
			return 0, err
		}
		var answer [4096]byte
		if _, err := io.ReadFull(conn, answer[:length]); err != nil {
			return 0, err
		}
		return 1024, io.ErrUnexpectedEOF
	}
}
