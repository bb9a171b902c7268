package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// state is what the program holds.
type state struct {
	goroutines, files int
	memory            int // resident, in bytes
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d MiB", s.goroutines, s.files, s.memory>>20)
}

// look asks the program's metrics and the kernel.
func (s *soak) look(ctx context.Context) (state, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", http.NoBody)
	if err != nil {
		return state{}, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return state{}, fmt.Errorf("asking for the metrics: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return state{}, err
	}
	figure := func(name string) int {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if found == nil {
			return -1
		}
		f, _ := strconv.ParseFloat(string(found[1]), 64)
		return int(f)
	}
	now := state{goroutines: figure("go_goroutines"), files: figure("process_open_fds"), memory: figure("process_resident_memory_bytes")}
	if now.goroutines < 0 || now.files < 0 || now.memory < 0 {
		return state{}, errors.New("the metrics lack go_goroutines, process_open_fds or process_resident_memory_bytes")
	}
	return now, nil
}

// settled waits until the program holds no more than before the load. The idle
// connections to the website take four seconds to end.
func (s *soak) settled(ctx context.Context, before state) (state, error) {
	http.DefaultClient.CloseIdleConnections()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		now, err := s.look(ctx)
		if err != nil {
			return now, err
		}
		if now.goroutines <= before.goroutines+5 && now.files <= before.files+2 {
			return now, nil
		}
		if time.Now().After(deadline) {
			return now, fmt.Errorf("a leak: %v before the load, %v long after it", before, now)
		}
	}
}

// readLog looks for lines that are not structured, panics and errors.
func (s *soak) readLog() error {
	file, err := os.Open(filepath.Join(s.folder, "log"))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Level string }
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Level == "error" || bytes.Contains(lines.Bytes(), []byte("panic")) {
			return fmt.Errorf("the log holds %.400s", lines.Text())
		}
	}
	return lines.Err()
}

// makeCertificate makes a certificate for soak.test, and the roots that verify it.
func makeCertificate() (certificate, private []byte, roots *x509.CertPool, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"soak.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, nil, err
	}
	if private, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), roots, nil
}
