package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// TestProxyProtocol: a listed peer names the client in either version and on both kinds of
// listener, below the limits; one that does not is cut off in time; from others a header
// is refused.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	from := &net.TCPAddr{IP: net.ParseIP("192.0.2.9"), Port: 4711}
	to := &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 8443}
	header := func(version byte, from, to net.Addr) string {
		var b bytes.Buffer
		if _, err := proxyproto.HeaderProxyFromAddrs(version, from, to).WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	six := header(2, &net.TCPAddr{IP: net.ParseIP("2001:db8::9"), Port: 1}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443})
	local := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	loopback, elsewhere := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	open := func(peers []netip.Prefix, secure bool) string {
		cfg := config()
		cfg.Sites[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "client ", middleware.ClientAddr(r), " ", r.URL.Path)
		})
		var settings *tls.Config
		if secure {
			certificate, _ := proxytest.Certificate()
			settings = &tls.Config{Certificates: []tls.Certificate{certificate}}
		}
		edge, err := proxy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var log proxytest.Log
		connections := limit.NewConnections(limit.Config{Log: log.Logger()})
		connections.Set(limit.Bounds{PerClient: 3, Sum: 1000}, nil)
		server := proxy.NewServer(middleware.New(middleware.Config{Log: log.Logger()})(edge.Secure()), settings, log.Logger())
		server.ReadHeaderTimeout = time.Hour // what is cut off, is so for another reason
		return proxytest.Serve(t, behind{server, func(l net.Listener) net.Listener {
			return connections.Listener(proxy.ProxyProtocol(l, peers, 100*time.Millisecond), true)
		}})
	}
	for _, secure := range []bool{false, true} {
		listed, unlisted := open(loopback, secure), open(elsewhere, secure)
		ask := func(addr, header string) string {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(proxytest.Patience))
			io.WriteString(conn, header)
			if secure {
				conn = tls.Client(conn, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}) // one certificate for all names
			}
			io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return "cut off"
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 {
				return res.Status
			}
			return string(body)
		}
		for name, test := range map[string]struct{ addr, header, want string }{
			"version 1":             {listed, header(1, from, to), "client 192.0.2.9 /x"},
			"version 2":             {listed, header(2, from, to), "client 192.0.2.9 /x"},
			"version 2, IPv6":       {listed, six, "client 2001:db8::9 /x"},
			"version 2, local":      {listed, local, "client 127.0.0.1 /x"},
			"version 1, unknown":    {listed, "PROXY UNKNOWN\r\n", "client 127.0.0.1 /x"},
			"no header":             {listed, "", "cut off"},
			"half a header":         {listed, "PROXY TCP4 192.0.2.9", "cut off"},
			"a malformed header":    {listed, "PROXY TCP4 x y 1 2\r\n", "cut off"},
			"an endless header":     {listed, "PROXY TCP4 " + strings.Repeat("1", 2000), "cut off"},
			"not listed":            {unlisted, "", "client 127.0.0.1 /x"},
			"not listed, version 1": {unlisted, header(1, from, to), "400 Bad Request"},
			"not listed, version 2": {unlisted, header(2, from, to), "400 Bad Request"},
		} {
			want := test.want
			if secure && want == "400 Bad Request" {
				want = "cut off"
			}
			if got := ask(test.addr, test.header); got != want {
				t.Errorf("%s, TLS %v: %q, want %q", name, secure, got, want)
			}
		}
		// Three connections of one client are its share; another client's are not counted with them.
		open := func(client string) net.Conn {
			conn := patient(t)(net.Dial("tcp", listed))
			fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 1 443\r\n", client)
			return conn
		}
		var held []net.Conn
		for range 4 {
			held = append(held, open("192.0.2.77"))
		}
		ended := make(chan int, len(held))
		for i, conn := range held {
			go func() {
				if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
					ended <- i
				}
			}()
		}
		select {
		case <-ended: // one of the four made way
		case <-time.After(proxytest.Patience):
			t.Error("a client has more connections than its share")
		}
		if got := ask(listed, header(1, from, to)); got != "client 192.0.2.9 /x" {
			t.Errorf("another client: %q", got)
		}
	}
}

// behind is a server whose listener is wrapped.
type behind struct {
	*proxy.Server
	wrap func(net.Listener) net.Listener
}

func (s behind) Serve(l net.Listener) error { return s.Server.Serve(s.wrap(l)) }
