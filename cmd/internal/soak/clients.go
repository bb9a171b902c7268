package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errWrong is what must never happen: an answer that belongs to another request, or
// one that was changed on its way.
var errWrong = errors.New("a wrong answer")

// clients load the program until their context ends.
type clients struct {
	address string
	roots   *x509.CertPool
	// excused reports whether the website was away at any time since then: requests
	// may fail, but not with a wrong answer.
	excused func(since time.Time) bool

	mu     sync.Mutex
	counts map[string]int
	wrong  []error
	failed []error
	serial atomic.Int64
}

func (c *clients) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// summary is what was counted so far.
func (c *clients) summary() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		text += fmt.Sprintf("%s %d, ", what, c.counts[what])
	}
	return text + fmt.Sprintf("failed %d, wrong %d;", len(c.failed), len(c.wrong))
}

// verdict is an error when anything was wrong, or failed without a reason.
func (c *clients) verdict() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong)+len(c.failed) > 0 {
		return fmt.Errorf("%d wrong answers and %d failures, of them: %w", len(c.wrong), len(c.failed),
			errors.Join(append(c.wrong[:min(len(c.wrong), 10)], c.failed[:min(len(c.failed), 10)]...)...))
	}
	for _, kind := range []string{kindLength, kindChunked, kindSlow, kindEmpty, kindCut, kindUpload, kindEarly, kindTunnel, "head", "abort"} {
		if c.counts[kind] == 0 {
			return fmt.Errorf("no request of kind %s was served", kind)
		}
	}
	return nil
}

// judge counts the outcome of a request that began at a time.
func (c *clients) judge(kind string, began time.Time, err error) {
	switch {
	case err == nil:
		c.count(kind)
	case errors.Is(err, errWrong):
		c.mu.Lock()
		c.wrong = append(c.wrong, fmt.Errorf("%s: %w", kind, err))
		c.mu.Unlock()
	case c.excused(began):
		c.count("website away")
	default:
		c.mu.Lock()
		c.failed = append(c.failed, fmt.Errorf("%s: %w", kind, err))
		c.mu.Unlock()
	}
}

func (c *clients) transport(http2 bool, from byte) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, from)}}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, c.address)
		},
		TLSClientConfig: &tls.Config{RootCAs: c.roots}, Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 4,
	}
}

// ask makes requests of all kinds, one after another, over one version of HTTP.
func (c *clients) ask(ctx context.Context, http2 bool, number byte) {
	transport := c.transport(http2, number)
	defer transport.CloseIdleConnections()
	random := rand.New(rand.NewPCG(uint64(number), 1)) //nolint:gosec // which requests are made
	for ctx.Err() == nil {
		kind := []string{kindLength, kindLength, kindLength, kindChunked, kindSlow, kindEmpty, kindCut, kindUpload, kindEarly, "head", "abort"}[random.IntN(11)]
		size := random.IntN(1 << (4 + random.IntN(15)))
		name := fmt.Sprintf("%d-%d", number, c.serial.Add(1))
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := c.request(limited, transport, kind, name, size)
		cancel()
		if ctx.Err() != nil {
			return
		}
		c.judge(kind, began, err)
	}
}

// request makes one request and compares the answer with what belongs to it.
func (c *clients) request(ctx context.Context, transport *http.Transport, kind, name string, size int) error {
	method, path := http.MethodGet, kind
	var body io.Reader
	var sent []byte
	switch kind {
	case kindUpload, kindEarly:
		method = http.MethodPost
		sent = page(name, size)
		body = bytes.NewReader(sent)
	case "head":
		method, path = http.MethodHead, kindLength
	case "abort":
		path = kindSlow
		size = 1 << 20
	}
	target := fmt.Sprintf("/%s/%s/%d", path, name, size)
	r, err := http.NewRequestWithContext(ctx, method, "https://soak.test"+target, body)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		// The end of an early or a cut answer may be seen before its head is read.
		if (kind == kindEarly || kind == kindCut) && ctx.Err() == nil {
			return nil
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 500 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	if got := answer.Header.Get("X-Name"); got != name {
		return fmt.Errorf("%w: %s got the head of %q", errWrong, target, got)
	}
	if kind == "abort" {
		_, _ = io.CopyN(io.Discard, answer.Body, 1000)
		return nil
	}
	got, err := io.ReadAll(answer.Body)
	want := page(target, size)
	switch kind {
	case kindCut:
		if err == nil {
			return fmt.Errorf("%w: %s was cut and seems complete", errWrong, target)
		}
		if !bytes.HasPrefix(want, got) {
			return fmt.Errorf("%w: %s, cut", errWrong, target)
		}
		return nil
	case kindEmpty, "head":
		want = nil
	case kindUpload:
		want = []byte(name + " " + checksum(sent))
	case kindEarly:
		want = []byte(name)
	}
	switch {
	case err != nil:
		if !bytes.HasPrefix(want, got) {
			return fmt.Errorf("%w: %s, then %w", errWrong, target, err)
		}
		return err
	case !bytes.Equal(got, want):
		return fmt.Errorf("%w: %s got %d bytes, want %d, beginning %.60q", errWrong, target, len(got), len(want), got)
	case kind == kindChunked && answer.Trailer.Get("X-Sum") != checksum(want):
		return fmt.Errorf("%w: %s has the trailer %q", errWrong, target, answer.Trailer.Get("X-Sum"))
	}
	return nil
}

// tunnel upgrades a connection and sends names through it, again and again.
func (c *clients) tunnel(ctx context.Context, number byte) {
	for ctx.Err() == nil {
		began := time.Now()
		err := c.throughTunnel(ctx, number)
		if ctx.Err() != nil {
			return
		}
		c.judge(kindTunnel, began, err)
	}
}

func (c *clients) throughTunnel(ctx context.Context, number byte) error {
	name := fmt.Sprintf("%d-%d", number, c.serial.Add(1))
	d := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, number)}}, Config: &tls.Config{RootCAs: c.roots, ServerName: "soak.test", MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	fmt.Fprintf(conn, "GET /%s/%s/0 HTTP/1.1\r\nHost: soak.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", kindTunnel, name)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	if answer.Header.Get("X-Name") != name {
		return fmt.Errorf("%w: the tunnel of %q", errWrong, answer.Header.Get("X-Name"))
	}
	for i := range 200 {
		line := fmt.Sprintf("%s %d %s\n", name, i, strings.Repeat("x", i*10))
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		got, err := reader.ReadString('\n')
		if err != nil {
			if !strings.HasPrefix(line, got) {
				return fmt.Errorf("%w: the tunnel of %s got %.60q", errWrong, name, got)
			}
			return err
		}
		if got != line {
			return fmt.Errorf("%w: the tunnel of %s got %.60q", errWrong, name, got)
		}
	}
	return nil
}
