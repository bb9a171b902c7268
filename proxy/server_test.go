package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/proxytest"
)

func TestServerLimits(t *testing.T) {
	t.Parallel()
	server := proxy.NewServer(named("never"), nil, zerolog.Nop())
	if server.ReadHeaderTimeout != 10*time.Second || server.MaxHeaderBytes != 64<<10 || server.IdleTimeout == 0 || server.ReadTimeout != 0 || server.WriteTimeout != 0 {
		t.Errorf("limits %+v", server)
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond
	addr := proxytest.Serve(t, server)
	for _, beginning := range []string{"", "GET / HTTP/1.1\r\nHost: example.com\r\n"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(proxytest.Patience))
		io.WriteString(conn, beginning)
		if got, err := io.ReadAll(conn); err != nil || len(got) > 0 && string(got[:12]) == "HTTP/1.1 200" {
			t.Errorf("%q: %q %v", beginning, got, err)
		}
	}
}

// A handshake that fails leaves a line in the log, a flood of them only some, and
// a port that is only looked at none.
func TestFailedHandshake(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Secure, true)
	looked, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	looked.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, looked) // until the server has closed it
	looked.Close()
	for range 50 {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		refusing := tls.Client(conn, &tls.Config{ServerName: "www.example.com", RootCAs: x509.NewCertPool()})
		if err := refusing.Handshake(); err == nil {
			t.Fatal("a certificate that is not trusted was accepted")
		}
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	d.sendTLS(t, "example.com", ask("example.com", "/x"))
	d.line(t) // it is logged behind the others
	logged := 0
	for text := range strings.Lines(d.log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line["message"] != "TLS handshake failed" {
			continue
		}
		logged++
		if line["level"] != "info" || line["server_name"] != "www.example.com" || !strings.Contains(fmt.Sprint(line["error"]), "certificate") || !strings.HasPrefix(fmt.Sprint(line["client"]), "127.0.0.1:") {
			t.Errorf("line %v", line)
		}
	}
	if logged == 0 || logged > 10 {
		t.Errorf("%d lines", logged)
	}
}

// Without TLS there is no HTTP/2, not even for a client that begins with its preface.
func TestNoClearHTTP2(t *testing.T) {
	t.Parallel()
	server := proxy.NewServer(named("x"), nil, zerolog.Nop())
	addr := proxytest.Serve(t, server)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: proxytest.Patience}
	if res, err := client.Get("http://" + addr); err == nil {
		t.Errorf("%s answered", res.Proto)
	}
}
