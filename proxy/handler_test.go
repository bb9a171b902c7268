package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// TestFieldsAsTheyCame: each request has its own fields, in the client's order and
// spelling, also when the client sends several ahead.
func TestFieldsAsTheyCame(t *testing.T) {
	t.Parallel()
	server := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields := fmt.Sprint(middleware.RequestFields(w))
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, fields)
	}), nil, zerolog.Nop())
	conn, err := net.Dial("tcp", proxytest.Serve(t, server))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	for _, requests := range []string{
		"GET / HTTP/1.1\r\nhost: a\r\nB: 1\r\nA: 2\r\nb:3\r\n\r\n" +
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-encoding: chunked\r\nx-one: \t1 \r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n" +
			"GET / HTTP/1.1\r\nHOST: a\r\nX-Two: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n" + "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		if _, err := io.WriteString(conn, requests); err != nil {
			t.Fatal(err)
		}
	}
	answers := bufio.NewReader(conn)
	for i, want := range []string{
		"[{host a} {B 1} {A 2} {b 3}]",
		"[{Host a} {Transfer-encoding chunked} {x-one 1}]",
		"[{HOST a} {X-Two 2}]",
		"[{Host a} {Upgrade x}]",
		"[]", // in the place of a malformed one
	} {
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got, err := io.ReadAll(answer.Body); string(got) != want {
			t.Errorf("%d: %s %v, want %s", i, got, err, want)
		}
	}
}
