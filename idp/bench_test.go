package idp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/idp"

	"github.com/rs/zerolog"
)

// BenchmarkSignature is what a certificate costs at least.
func BenchmarkSignature(b *testing.B) {
	digest := sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(rand.Reader, browserKey(), crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCertificate is a whole request: session, person, key, signature.
func BenchmarkCertificate(b *testing.B) {
	request, server := signedInRequest(b, http.MethodPost, "/persona/api/certificate")
	body := certificateRequest("alice@example.test", `"duration":3600`)
	b.ReportAllocs()
	for b.Loop() {
		r := request.Clone(b.Context())
		r.Body = readCloser{strings.NewReader(body)}
		serve(b, server, r)
	}
}

// BenchmarkSession is the question who is signed in.
func BenchmarkSession(b *testing.B) {
	request, server := signedInRequest(b, http.MethodGet, "/persona/api/session")
	b.ReportAllocs()
	for b.Loop() {
		serve(b, server, request)
	}
}

func BenchmarkSupportDocument(b *testing.B) {
	request, server := signedInRequest(b, http.MethodGet, "/.well-known/browserid")
	b.ReportAllocs()
	for b.Loop() {
		serve(b, server, request)
	}
}

// BenchmarkMatch is what every request to the website pays.
func BenchmarkMatch(b *testing.B) {
	server := newWorld(b).server
	request := httptest.NewRequest(http.MethodGet, "/wp-content/themes/x/style.css?ver=1", nil)
	request.Host = host
	b.ReportAllocs()
	for b.Loop() {
		if server.Match(request) {
			b.Fatal("matched")
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func signedInRequest(b *testing.B, method, path string) (*http.Request, *idp.Server) {
	w := newWorld(b, func(c *settings) { c.Log = zerolog.Nop() })
	browser := w.browser()
	browser.signIn("alice", password)
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Cookie", browser.cookies[host])
	return r, w.server
}

func serve(b *testing.B, server *idp.Server, r *http.Request) {
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusOK {
		b.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
}

// BenchmarkManyHosts is what a start with 1,000 identity hosts costs here.
func BenchmarkManyHosts(b *testing.B) {
	var config settings
	newWorld(b, asHub, func(c *settings) {
		config = *c
		config.Hosts = nil
		for i := range 1000 {
			config.Hosts = append(config.Hosts, named(c.Hosts[0], fmt.Sprintf("host%d.test", i)))
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := config.build(); err != nil {
			b.Fatal(err)
		}
	}
}
