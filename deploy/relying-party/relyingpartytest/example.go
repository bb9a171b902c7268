package relyingpartytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds how long an example may take to listen, once built.
const patience = 30 * time.Second

// Example is one of the example websites.
type Example struct {
	Name    string // go, node, php or python
	program string // that it needs
	// command is what runs it, given its folder and what folder a test may write to.
	command func(t testing.TB, home, scratch, listen string) []string
}

// Examples returns all of them.
func Examples() []Example {
	return []Example{
		{"go", "go", buildGo},
		{"node", "node", func(_ testing.TB, home, _, _ string) []string {
			return []string{"node", filepath.Join(home, "node", "server.mjs")}
		}},
		{"php", "php", func(_ testing.TB, home, scratch, listen string) []string {
			return []string{"php", "-d", "session.save_path=" + scratch, "-S", listen, filepath.Join(home, "php", "server.php")}
		}},
		{"python", "python3", func(_ testing.TB, home, _, _ string) []string {
			return []string{"python3", "-B", filepath.Join(home, "python", "server.py")}
		}},
	}
}

func buildGo(t testing.TB, home, scratch, _ string) []string {
	t.Helper()
	binary := filepath.Join(scratch, "go-example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, filepath.Join(home, "go")).CombinedOutput(); err != nil {
		t.Fatalf("building the Go example: %v\n%s", err, out)
	}
	return []string{binary}
}

// Settings are what an example is told by its environment.
type Settings struct {
	Listen   string // host:port, see [FreeAddress]
	Persona  string // origin of the identity host
	Audience string // the example's own origin
	Verifier string // URL; "": the identity host's
	CAFile   string // PEM, trusted when the verifier is asked; "": the system's
}

// Process is an example that runs.
type Process struct {
	URL   string // http://host:port
	log   *output
	ended chan struct{}
}

// Log returns what it has written so far.
func (p *Process) Log() string { return p.log.String() }

// FreeAddress finds a port of loopback that is free now, for a program that has to be told one. It
// lies below those that the system itself hands out (32768 and above on Linux), which the next
// listener on port 0, or the next connection, might get before the program takes it. No port is
// handed out twice, not by other test programs either that run at the same time.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := ports().take()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

const (
	firstPort, lastPort = 12000, 31999
	portsOfBlock        = 100
)

// ports are what this test program hands out.
var ports = sync.OnceValue(func() *portBlocks { return new(portBlocks) })

// portBlocks are blocks of ports, each claimed by listening at its first one until the program ends.
type portBlocks struct {
	mu        sync.Mutex
	next, end int // of the last block, what is left
	claims    []net.Listener
}

func (b *portBlocks) take() (address string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for b.next < b.end {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.next))
			b.next++
			if listener, err := net.Listen("tcp", address); err == nil {
				return address, listener.Close()
			}
		}
		if err := b.claim(); err != nil {
			return "", err
		}
	}
}

// claim claims one more block.
func (b *portBlocks) claim() (err error) {
	for _, i := range rand.Perm((lastPort + 1 - firstPort) / portsOfBlock) {
		first := firstPort + i*portsOfBlock
		listener, failed := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first)))
		if err = failed; err == nil {
			b.claims = append(b.claims, listener)
			b.next, b.end = first+1, first+portsOfBlock
			return nil
		}
	}
	return fmt.Errorf("no port is free: %w", err)
}

// Start runs the example until the test ends, and returns once it answers. Where the machine lacks
// its interpreter the test is skipped, or fails when the environment says CI=true.
func (e Example) Start(t testing.TB, settings Settings) *Process {
	t.Helper()
	p := e.Run(t, settings)
	p.await(t)
	return p
}

// Run is [Example.Start] without waiting for an answer.
func (e Example) Run(t testing.TB, settings Settings) *Process {
	t.Helper()
	e.require(t)
	p := &Process{URL: "http://" + settings.Listen, log: &output{}, ended: make(chan struct{})}
	words := e.command(t, home(t), t.TempDir(), settings.Listen)
	command := exec.CommandContext(t.Context(), words[0], words[1:]...)
	command.Stdout, command.Stderr = p.log, p.log
	command.Env = append(os.Environ(), "no_proxy=*", "LISTEN="+settings.Listen, "PERSONA_ORIGIN="+settings.Persona,
		"AUDIENCE="+settings.Audience, "VERIFIER="+settings.Verifier, "CA_FILE="+settings.CAFile)
	if err := command.Start(); err != nil {
		t.Fatalf("starting the example %s: %v", e.Name, err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // it ends by being killed
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the example %s wrote:\n%s", e.Name, p.Log())
		}
	})
	return p
}

// require demands the example's interpreter.
func (e Example) require(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs " + e.program)
	}
	if _, err := exec.LookPath(e.program); err == nil {
		return
	}
	reason := fmt.Sprintf("no %s is installed (apt-get install golang, nodejs, php-cli or python3)", e.program)
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// AwaitLog waits until the example has written these words.
func (p *Process) AwaitLog(t testing.TB, words string) {
	t.Helper()
	p.until(t, "the words "+words, func() bool { return strings.Contains(p.Log(), words) })
}

// await asks until the example answers.
func (p *Process) await(t testing.TB) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	p.until(t, "an answer", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("the example ended:\n%s", p.Log())
		default:
		}
		response, err := client.Get(p.URL + "/style.css")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil
	})
}

func (p *Process) until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("did not happen: %s\n%s", what, p.Log())
		}
	}
}

// home is the folder of the examples.
func home(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "persona-sidecar/deploy/relying-party/pages").Output()
	if err != nil {
		t.Fatalf("looking for the examples: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
