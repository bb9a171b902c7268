package certs_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"strings"
	"testing"
)

// checkPolicy makes handshakes with the server at address that must succeed or
// must fail by the TLS policy.
func checkPolicy(t *testing.T, address, name string, roots *x509.CertPool) {
	t.Helper()
	cbc := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	}
	gcm := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	tests := map[string]struct {
		config *tls.Config
		works  bool
	}{
		"TLS 1.3":                  {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2 with AEAD suites": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: gcm}, true},
		"TLS 1.2 with other ones":  {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: cbc}, false},
		"TLS 1.1":                  {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"h2 and http/1.1":          {&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, true},
		"http/1.0 only":            {&tls.Config{NextProtos: []string{"http/1.0"}}, true},
		"unknown protocol":         {&tls.Config{NextProtos: []string{"spdy/3"}}, false},
	}
	for what, test := range tests {
		test.config.ServerName, test.config.RootCAs = name, roots
		err := dial(address, test.config)
		if works := err == nil; works != test.works {
			t.Errorf("%s: error %v, want success: %t", what, err, test.works)
		}
	}
	for _, want := range []string{"h2", "http/1.1", "http/1.0"} {
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{want}})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("negotiated %q, want %q", got, want)
		}
		if want == "http/1.0" {
			io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.0 ") {
				t.Errorf("answer to HTTP/1.0: %q %v", line, err)
			}
		}
		conn.Close()
	}
}
