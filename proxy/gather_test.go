package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/proxytest"
)

// Answers on one HTTP/2 connection that are ready at the same time leave together, and not
// with a write for each. One processor leaves no room for chance. No other test runs
// meanwhile, because this one is not parallel.
func TestAnswersLeaveTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const answers = 80
	certificate, roots := proxytest.Certificate()
	var came atomic.Int32
	var writes atomic.Int64
	release := make(chan struct{})
	server := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		if came.Add(1) == answers {
			writes.Store(0)
			close(release)
		}
		<-release
		io.WriteString(w, "answer")
	}), &tls.Config{Certificates: []tls.Certificate{certificate}}, zerolog.Nop())
	listener := proxytest.Listen(t)
	go server.Serve(countingListener{listener, &writes})
	t.Cleanup(func() { server.Close() })

	client := &http.Client{Timeout: proxytest.Patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	get := func(path string) {
		res, err := client.Get("https://" + listener.Addr().String() + path)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.ProtoMajor != 2 {
			t.Error(res.Proto, err)
		}
	}
	get("/first") // opens the connection
	var all sync.WaitGroup
	for range answers {
		all.Go(func() { get("/") })
	}
	all.Wait()
	if n := writes.Load(); n > answers/4 {
		t.Errorf("%d writes for %d answers", n, answers)
	}
}

// countingListener counts the writes on its connections.
type countingListener struct {
	net.Listener
	writes *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{conn, l.writes}, nil
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
