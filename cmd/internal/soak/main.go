package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "website" {
		return website(ctx, args[1])
	}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	persona := flags.String("persona", "bin/persona", "the `binary` to run")
	length := flags.Duration("time", 10*time.Minute, "how long the load lasts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	s := &soak{folder: folder, changed: time.Now()}
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.startProgram(ctx, *persona); err != nil {
		return err
	}
	if err := s.startWebsite(ctx); err != nil {
		return err
	}
	return s.run(ctx, *length)
}

// soak is the program, the website behind it and the clients.
type soak struct {
	folder         string
	program        *exec.Cmd
	address, admin string
	site           string // address of the website
	roots          *x509.CertPool

	mu      sync.Mutex
	process *exec.Cmd // the website; nil while it is away
	changed time.Time // when the website was last away
}

// settle is how long after the website has come back a request may still fail:
// connections that were kept to the one before are found out one by one.
const settle = 2 * time.Second

func (s *soak) excused(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process == nil || s.changed.Add(settle).After(since)
}

// prepare chooses addresses and writes the configuration.
func (s *soak) prepare(ctx context.Context) error {
	certificate, key, roots, err := makeCertificate()
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	s.roots = roots
	for _, address := range []*string{&s.address, &s.admin, &s.site} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		*address = listener.Addr().String()
		defer listener.Close() // at the end, so that all are different
	}
	_, port, _ := net.SplitHostPort(s.address)
	text := fmt.Sprintf(`state_dir: state
listen: {https: %q, http: "", admin: %q, public_https: %s}
tls: {mode: files, cert_file: cert.pem, key_file: key.pem}
domains:
  - {name: soak.test, upstream: "http://%s"}
`, s.address, s.admin, port, s.site)
	for name, text := range map[string][]byte{"persona.yaml": []byte(text), "cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(s.folder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// startProgram starts the program, whose log is kept.
func (s *soak) startProgram(ctx context.Context, persona string) error {
	log, err := os.Create(filepath.Join(s.folder, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	if persona, err = filepath.Abs(persona); err != nil {
		return err
	}
	s.program = exec.Command(persona, "serve", "-config", filepath.Join(s.folder, "persona.yaml"))
	s.program.Dir, s.program.Stdout, s.program.Stderr = s.folder, log, log
	if err := s.program.Start(); err != nil {
		return err
	}
	if err := answers(ctx, s.address); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("the program: %w\n%s", err, text)
	}
	return nil
}

// startWebsite starts the website and waits until it answers.
func (s *soak) startWebsite(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	process := exec.Command(self, "website", s.site)
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		return err
	}
	if err := answers(ctx, s.site); err != nil {
		return fmt.Errorf("the website: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.changed = process, time.Now()
	return nil
}

func (s *soak) killWebsite() {
	s.mu.Lock()
	process := s.process
	s.process = nil
	s.mu.Unlock()
	if process != nil {
		_ = process.Process.Kill()
		_ = process.Wait()
	}
}

func (s *soak) close() {
	s.killWebsite()
	if s.program != nil {
		_ = s.program.Process.Kill()
		_ = s.program.Wait()
	}
}

// answers waits until something listens at an address.
func answers(ctx context.Context, address string) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// run loads the program, looks at it every ten seconds, and judges at the end.
func (s *soak) run(ctx context.Context, length time.Duration) error {
	before, err := s.look(ctx)
	if err != nil {
		return err
	}
	fmt.Println("at start:", before)
	loaded, stop := context.WithTimeout(ctx, length)
	defer stop()
	c := &clients{address: s.address, roots: s.roots, excused: s.excused, counts: map[string]int{}}
	var work sync.WaitGroup
	for number := byte(2); number < 14; number++ {
		work.Go(func() { c.ask(loaded, number%2 == 0, number) })
	}
	for number := byte(14); number < 18; number++ {
		work.Go(func() { c.tunnel(loaded, number) })
	}
	var faults []error
	var memory []int
	for tick := 1; loaded.Err() == nil; tick++ {
		select {
		case <-loaded.Done():
			continue
		case <-time.After(min(10*time.Second, length/6)):
		}
		now, err := s.look(ctx)
		if err != nil {
			return err // the program has ended
		}
		memory = append(memory, now.memory)
		fmt.Println(c.summary(), now)
		faults = append(faults, s.program.Process.Signal(syscall.SIGHUP))
		if tick%3 == 0 {
			s.killWebsite()
			faults = append(faults, s.startWebsite(ctx))
		}
	}
	work.Wait()
	after, err := s.settled(ctx, before)
	faults = append(faults, err)
	fmt.Println("at the end:", c.summary(), after)
	if n := len(memory) / 3; n > 1 {
		// Memory may grow while buffers are collected, and not for ever.
		if early, late := slices.Max(memory[n:2*n]), slices.Max(memory[2*n:]); late > early+early/3+(16<<20) {
			faults = append(faults, fmt.Errorf("resident memory grew from %d MiB to %d MiB", early>>20, late>>20))
		}
	}
	faults = append(faults, c.verdict(), s.readLog())
	return errors.Join(faults...)
}
