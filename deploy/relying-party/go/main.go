// Command go is a website in Go that signs people in with persona. See ../README.md.
package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"persona-sidecar/deploy/relying-party/go/site"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	persona, audience := os.Getenv("PERSONA_ORIGIN"), os.Getenv("AUDIENCE")
	if persona == "" || audience == "" {
		return errors.New("set PERSONA_ORIGIN to the identity host's origin and AUDIENCE to your own, such as https://example.com and https://shop.example.com")
	}
	roots, err := readRoots(os.Getenv("CA_FILE"))
	if err != nil {
		return err
	}
	shop, err := site.New(site.Config{
		Persona: persona, Audience: audience,
		Log:      log.Default(),
		Verifier: cmp.Or(os.Getenv("VERIFIER"), persona+"/persona/v2"),
		Client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		},
	})
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8001"), Handler: shop,
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
	}
	log.Printf("listening on %s", server.Addr)
	return server.ListenAndServe()
}

// readRoots reads which authorities to trust; without a file, the system's.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return roots, nil
}
