package certs_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

// BenchmarkStart is what stored certificates cost between the program's start and
// the first handshake, with one report of their state: the same for each name,
// however many there are.
func BenchmarkStart(b *testing.B) {
	for _, count := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) { benchmarkStart(b, count) })
	}
}

func benchmarkStart(b *testing.B, count int) {
	storage := &certmagic.FileStorage{Path: b.TempDir()}
	server := acmetest.Start(b, acmetest.Options{})
	server.Down()
	issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
	config := certs.ACMEConfig{Storage: storage, Directory: server.Directory(), Roots: server.Roots(), ListenHost: "127.0.0.1", TLSALPNPort: 1}
	for i := range count {
		name := strconv.Itoa(i) + ".bench.test"
		config.Names = append(config.Names, name)
		p := ecdsaPair(b, name)
		for key, value := range map[string][]byte{
			certmagic.StorageKeys.SiteCert(issuer, name):       p.cert,
			certmagic.StorageKeys.SitePrivateKey(issuer, name): p.key,
			certmagic.StorageKeys.SiteMeta(issuer, name):       []byte("{}"),
		} {
			if err := storage.Store(b.Context(), key, value); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		acme, err := certs.NewACME(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		if err := acme.Start(ctx); err != nil {
			b.Fatal(err)
		}
		status := acme.Status()
		b.StopTimer()
		if status[count-1].NotAfter.IsZero() {
			b.Fatal("a certificate was not loaded")
		}
		cancel()
		acme.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(count), "µs/name")
}

// BenchmarkHasCertificate is asked on every plain request.
func BenchmarkHasCertificate(b *testing.B) {
	acme, err := certs.NewACME(b.Context(), certs.ACMEConfig{
		Names: []string{"example.test"}, Storage: &certmagic.FileStorage{Path: b.TempDir()}, TLSALPNPort: 1,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer acme.Close()
	b.ReportAllocs()
	for b.Loop() {
		if acme.HasCertificate("example.test") {
			b.Fatal("a certificate that was not stored")
		}
	}
}
