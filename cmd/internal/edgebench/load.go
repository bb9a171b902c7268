package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is what a load generator saw of one contender for some time.
type load struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
}

// row is one kind of load.
type row struct {
	name string
	size int // bytes of body in a request or answer
	run  func(ctx context.Context, r *row, folder, address string, length time.Duration) (load, error)
	args []string
	path string
}

// uploadSize is the size of the body of an upload.
const uploadSize = 1 << 20

func rows() []*row {
	return []*row{
		{name: "h1-1k", path: "/1k", size: 1 << 10, run: wrk, args: []string{"-t2", "-c64"}},
		{name: "h2-1k", path: "/1k", size: 1 << 10, run: h2load, args: []string{"-c16", "-m16", "-t1"}},
		{name: "h1-64k", path: "/64k", size: 64 << 10, run: wrk, args: []string{"-t2", "-c64"}},
		{name: "h1-10m", path: "/10m", size: 10 << 20, run: wrk, args: []string{"-t2", "-c8"}},
		{name: "h2-64k", path: "/64k", size: 64 << 10, run: h2load, args: []string{"-c16", "-m16", "-t1"}},
		{name: "h1-upload", path: "/up", size: uploadSize, run: wrk, args: []string{"-t2", "-c8", "-s", "upload.lua"}},
		{name: "h2-upload", path: "/up", size: uploadSize, run: h2load, args: []string{"-c8", "-m2", "-t1", "-d", "upload"}},
		{name: "handshake", path: "/1k", size: 1 << 10, run: handshakes},
		{name: "resumed", path: "/1k", size: 1 << 10, run: resumed},
	}
}

func selected(names string) []*row {
	if names == "" {
		return rows()
	}
	return slices.DeleteFunc(rows(), func(r *row) bool { return !slices.Contains(strings.Split(names, ","), r.name) })
}

var (
	wrkRequests  = regexp.MustCompile(`(\d+) requests in ([0-9.]+)s, ([0-9.]+)([KMG]?)B read`)
	wrkLatency   = regexp.MustCompile(`(50|99)%\s+([0-9.]+)(us|ms|s)`)
	h2loadDone   = regexp.MustCompile(`finished in ([0-9.]+)(us|ms|s)`)
	h2loadCounts = regexp.MustCompile(`requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadStatus = regexp.MustCompile(`status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx`)
)

// wrk sends HTTP/1.1 requests. A sample in which any request failed, or whose
// bodies cannot all have come, is an error.
func wrk(ctx context.Context, r *row, folder, address string, length time.Duration) (load, error) {
	args := slices.Concat([]string{"--latency", fmt.Sprintf("-d%.0fs", length.Seconds())}, r.args, []string{"https://" + address + r.path})
	cmd := exec.CommandContext(ctx, "wrk", args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	text := string(out)
	counts := wrkRequests.FindStringSubmatch(text)
	if counts == nil || strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		return load{}, fmt.Errorf("wrk reports failures:\n%s", text)
	}
	l := load{}
	l.requests, _ = strconv.Atoi(counts[1])
	l.took = duration(counts[2], "s")
	received, _ := strconv.ParseFloat(counts[3], 64)
	received *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[counts[4]]
	if r.path != "/up" && received*1.01 < float64(l.requests)*float64(r.size) {
		return load{}, fmt.Errorf("wrk got too few bytes:\n%s", text)
	}
	for _, found := range wrkLatency.FindAllStringSubmatch(text, -1) {
		if d := duration(found[2], found[3]); found[1] == "50" {
			l.p50 = d
		} else {
			l.p99 = d
		}
	}
	return l, nil
}

// h2load sends HTTP/2 requests, with the same rule.
func h2load(ctx context.Context, r *row, folder, address string, length time.Duration) (load, error) {
	latencies := filepath.Join(folder, "h2load.tsv")
	_ = os.Remove(latencies)
	args := slices.Concat([]string{"-D", fmt.Sprintf("%.0f", length.Seconds()), "--log-file", latencies}, r.args, []string{"https://" + address + r.path})
	cmd := exec.CommandContext(ctx, "h2load", args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	text := string(out)
	done, counts, status := h2loadDone.FindStringSubmatch(text), h2loadCounts.FindStringSubmatch(text), h2loadStatus.FindStringSubmatch(text)
	if done == nil || counts == nil || status == nil || counts[2] != "0" || counts[3] != "0" || counts[4] != "0" || !strings.Contains(text, "Application protocol: h2") {
		return load{}, fmt.Errorf("h2load reports failures:\n%s", text)
	}
	l := load{took: duration(done[1], done[2])}
	l.requests, _ = strconv.Atoi(counts[1])
	file, err := os.ReadFile(latencies)
	if err != nil {
		return load{}, err
	}
	var took []int
	for line := range bytes.Lines(file) {
		fields := bytes.Fields(line)
		if n, err := strconv.Atoi(string(fields[len(fields)-1])); err == nil {
			took = append(took, n)
		}
	}
	l.p50, l.p99 = percentile(took, 50)*time.Microsecond, percentile(took, 99)*time.Microsecond
	return l, nil
}

func duration(number, unit string) time.Duration {
	d, _ := time.ParseDuration(number + unit)
	return d
}

func percentile(of []int, percent int) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return time.Duration(of[(len(of)-1)*percent/100])
}

// handshakes opens connections with full TLS 1.3 handshakes, one request on each.
func handshakes(ctx context.Context, r *row, _, address string, length time.Duration) (load, error) {
	return connections(ctx, nil, r, address, length)
}

// resumed opens connections with resumed handshakes, one request on each.
func resumed(ctx context.Context, r *row, _, address string, length time.Duration) (load, error) {
	cache := tls.NewLRUClientSessionCache(64)
	if _, err := exchange(ctx, address, cache, r.path); err != nil {
		return load{}, err
	}
	return connections(ctx, cache, r, address, length)
}

func connections(ctx context.Context, cache tls.ClientSessionCache, r *row, address string, length time.Duration) (load, error) {
	const clients = 8
	begin := time.Now()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		took  []int
		fault error
	)
	for range clients {
		all.Go(func() {
			for time.Since(begin) < length {
				start := time.Now()
				again, err := exchange(ctx, address, cache, r.path)
				if err == nil && again != (cache != nil) {
					err = fmt.Errorf("session resumed: %t", again)
				}
				mu.Lock()
				if err != nil {
					fault = errors.Join(fault, err)
				}
				took = append(took, int(time.Since(start).Microseconds()))
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	l := load{requests: len(took), took: time.Since(begin)}
	l.p50, l.p99 = percentile(took, 50)*time.Microsecond, percentile(took, 99)*time.Microsecond
	return l, fault
}

// exchange makes one request on a connection of its own and reports whether the TLS
// session was resumed.
func exchange(ctx context.Context, address string, cache tls.ClientSessionCache, path string) (resumed bool, err error) {
	conn, err := dial(ctx, address, cache, nil)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := get(conn, address, path, "close"); err != nil {
		return false, err
	}
	return conn.ConnectionState().DidResume, nil
}

// dial opens a TLS connection, from a local address where one is given.
func dial(ctx context.Context, address string, cache tls.ClientSessionCache, from net.Addr) (*tls.Conn, error) {
	d := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}, Config: clientTLS(cache)}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), conn.SetDeadline(time.Now().Add(20 * time.Second))
}

// get asks for a path and reads the whole answer.
func get(conn net.Conn, address, path, connection string) error {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", path, address, connection); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || n != int64(bodySizes[path])) {
		err = fmt.Errorf("status %d, %d bytes", answer.StatusCode, n)
	}
	return err
}
