package conformance_test

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/proxytest"
)

var long = flag.Bool("long", false, "also wait for bounds of a minute")

// crowd is how many slow clients of a kind come at once.
const crowd = 20

// slowClient is one kind of client that takes its time. It connects, and what it does ends when the program closes.
type slowClient struct {
	name  string
	host  string // "": slow
	alpn  string // "": no TLS handshake is made
	sends string
	then  string        // sent again and again, one each second
	bound time.Duration // by which the program must have closed, with some seconds added
	reads bool          // reads what it is sent, or nothing
	long  bool          // of a minute: with -long alone
}

func slowClients() []slowClient {
	head := "GET / HTTP/1.1\r\nHost: slow.conformance.test\r\n"
	post := "POST %s HTTP/1.1\r\nHost: %s.conformance.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n"
	var block strings.Builder // a header block without its end
	framer := http2.NewFramer(&block, nil)
	var fields strings.Builder
	_ = hpack.NewEncoder(&fields).WriteField(hpack.HeaderField{Name: ":method", Value: "GET"})
	block.WriteString(http2.ClientPreface)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(fields.String())})
	return []slowClient{
		{name: "no TLS handshake", bound: 10 * time.Second, reads: true},
		{name: "half a TLS handshake", sends: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bound: 10 * time.Second, reads: true},
		{name: "nothing", alpn: "http/1.1", bound: 10 * time.Second, reads: true},
		{name: "half a head", alpn: "http/1.1", sends: head, bound: 10 * time.Second, reads: true},
		{name: "a head without end", alpn: "http/1.1", sends: head, then: "X-A: b\r\n", bound: 10 * time.Second, reads: true},
		{name: "no preface", alpn: "h2", bound: 10 * time.Second, reads: true},
		{name: "a body of ours that drips", host: "id", alpn: "http/1.1", sends: fmt.Sprintf(post, "/persona/authenticate", "id"), then: "a", bound: 10 * time.Second, reads: true},
		{name: "a body that stops", alpn: "http/1.1", sends: fmt.Sprintf(post, "/", "slow") + "a", bound: time.Minute, reads: true, long: true},
		{name: "half a header block", alpn: "h2", sends: block.String(), bound: time.Minute, reads: true, long: true},
		{name: "a reader that stops", alpn: "http/1.1", sends: "GET /large HTTP/1.1\r\nHost: slow.conformance.test\r\n\r\n", then: "\r\n", bound: time.Minute, long: true},
	}
}

// TestSlowClients lets a crowd of each kind of slow client come. The program ends each within its bound, and serves others
// meanwhile.
func TestSlowClients(t *testing.T) {
	if *h2spec == "" {
		t.Skip("make conformance runs it")
	}
	t.Parallel()
	large := "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n" + strings.Repeat("a", 32<<20)
	k := kind{name: "persona", command: func(t testing.TB, p *program, folder string) []string {
		p.stray.scripts = map[string]*script{"/large": newScript([]conformance.Step{{Text: large}})}
		write(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf("state_dir: state\n"+withTLS+
			"domains:\n  - {name: slow.conformance.test, upstream: \"http://%s\"}\n"+identityHost, p.secure, p.plain, p.stray.address))
		return []string{binary(t), "serve", "-config", filepath.Join(folder, "persona.yaml")}
	}}
	p := k.start(t, nil)
	var crowds sync.WaitGroup
	served := make(chan struct{})
	for i, client := range slowClients() {
		if client.long && !*long {
			continue
		}
		crowds.Go(func() {
			var all sync.WaitGroup
			for range crowd {
				all.Go(func() {
					// A network of its own for each kind, because connections are bounded by network as well.
					if took, err := client.come(p, fmt.Sprintf("127.0.%d.1", i+1)); err != nil || took < client.bound/2 || took > client.bound+15*time.Second {
						t.Errorf("%s: ended after %s: %v", client.name, took, err)
					}
				})
			}
			all.Wait()
		})
	}
	go func() {
		defer close(served)
		crowds.Wait()
	}()
	pages := 0
	for {
		one, err := entry{Entry: conformance.Entry{Name: "slow"}}.exchange1(t, p, "tls", "GET", nil, proxytest.Patience)
		if err != nil || !one.open {
			t.Fatalf("another client is not served: %v %v", one, err)
		}
		pages++
		select {
		case <-served:
			t.Logf("%d pages for others meanwhile", pages)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// come connects from an address of loopback and reports how long the program bore the client.
func (c slowClient) come(p *program, from string) (time.Duration, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: proxytest.Patience}
	raw, err := dialer.Dial("tcp", p.secure)
	if err != nil {
		return 0, err
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetReadBuffer(4096)
	conn := raw
	if c.alpn != "" {
		conn = tls.Client(raw, &tls.Config{ServerName: cmp.Or(c.host, "slow") + ".conformance.test", RootCAs: p.roots, NextProtos: []string{c.alpn}})
	}
	began := time.Now()
	_ = conn.SetDeadline(began.Add(c.bound + proxytest.Patience))
	if _, err := io.WriteString(conn, c.sends); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() {
		if c.reads {
			_, err := io.Copy(io.Discard, conn)
			ended <- err
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return time.Since(began), err
			}
			return time.Since(began), nil
		case <-tick.C:
			if c.then == "" && c.reads {
				continue
			}
			// One that reads nothing notices by writing that it has been ended.
			if _, err := io.WriteString(conn, c.then); err != nil {
				return time.Since(began), nil
			}
			if !c.reads && time.Since(began) > c.bound+proxytest.Patience {
				return time.Since(began), os.ErrDeadlineExceeded
			}
		}
	}
}
