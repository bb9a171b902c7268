package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// world is the website, and everything that stands in front of it by turns.
type world struct {
	folder     string
	origin     *exec.Cmd
	website    string // address
	contenders []*contender
}

// contender is one program in front of the website.
type contender struct {
	name    string
	address string
	process *exec.Cmd // leads a process group of its own
	config  string    // text of its configuration file, if it has one
	command []string  // %s is the file's path
	fresh   int       // resident memory in bytes when it was started
}

// newWorld starts the website and, one after another, the contenders.
func newWorld(ctx context.Context, persona string) (*world, error) {
	folder, err := os.MkdirTemp("", "edgebench")
	if err != nil {
		return nil, err
	}
	w := &world{folder: folder}
	if err := w.start(ctx, persona); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx context.Context, persona string) error {
	for _, tool := range []string{"nginx", "haproxy", "caddy", "wrk", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (on Debian: apt-get install nginx haproxy caddy wrk nghttp2-client)", err)
		}
	}
	if err := w.makeCertificate(); err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.origin = exec.Command(self, "origin")
	w.origin.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := w.origin.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.origin.Start(); err != nil {
		return fmt.Errorf("starting the website: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("starting the website: %w", err)
	}
	w.website = strings.TrimSpace(line)
	if persona, err = filepath.Abs(persona); err != nil {
		return err
	}
	w.contenders = []*contender{
		{name: "nginx", config: nginxConfig, command: []string{"nginx", "-c", "%s", "-g", "daemon off;"}},
		{name: "haproxy", config: haproxyConfig, command: []string{"haproxy", "-f", "%s"}},
		{name: "caddy", config: caddyConfig, command: []string{"caddy", "run", "--adapter", "caddyfile", "--config", "%s"}},
		{name: "reverseproxy", command: []string{self, "reverseproxy", "{address}", "{folder}/tls.pem", "http://{website}"}},
		{name: "persona", config: personaConfig, command: []string{persona, "serve", "-config", "%s"}},
	}
	for _, c := range w.contenders {
		if err := w.startContender(ctx, c); err != nil {
			return fmt.Errorf("starting %s: %w", c.name, err)
		}
	}
	return nil
}

func (w *world) startContender(ctx context.Context, c *contender) error {
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.address = free.Addr().String()
	_, port, _ := net.SplitHostPort(c.address)
	if err := free.Close(); err != nil {
		return err
	}
	fill := strings.NewReplacer("{address}", c.address, "{port}", port, "{folder}", w.folder, "{website}", w.website)
	file := filepath.Join(w.folder, c.name+".conf")
	if err := os.WriteFile(file, []byte(fill.Replace(c.config)), 0o600); err != nil {
		return err
	}
	args := make([]string, len(c.command))
	for i, arg := range c.command {
		args[i] = strings.ReplaceAll(fill.Replace(arg), "%s", file)
	}
	output, err := os.Create(filepath.Join(w.folder, c.name+".log"))
	if err != nil {
		return err
	}
	defer output.Close()
	c.process = exec.Command(args[0], args[1:]...)
	c.process.Stdout, c.process.Stderr = output, output
	if c.name == "persona" { // its log is on and goes nowhere
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		c.process.Stdout, c.process.Stderr = null, null
	}
	c.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.process.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := exchange(ctx, c.address, nil, "/1k")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(output.Name())
			return fmt.Errorf("it does not answer: %w\n%s", err, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.fresh, err = residentMemory(c.process.Process.Pid)
	return err
}

// close stops everything, by process group.
func (w *world) close() {
	stop := func(cmd *exec.Cmd) {
		if cmd == nil || cmd.Process == nil {
			return
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
	for _, c := range w.contenders {
		stop(c.process)
	}
	stop(w.origin)
	_ = os.RemoveAll(w.folder)
}

// makeCertificate writes one certificate for all, with its key, as one file and as two.
func (w *world) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"bench.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, text := range map[string][]byte{"cert.pem": certificate, "key.pem": secret, "tls.pem": append(certificate, secret...)} {
		if err := os.WriteFile(filepath.Join(w.folder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// clientTLS is for a client that resumes sessions from a cache, or never.
func clientTLS(cache tls.ClientSessionCache) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ClientSessionCache: cache, SessionTicketsDisabled: cache == nil} //nolint:gosec // the certificate was made a moment ago
}
