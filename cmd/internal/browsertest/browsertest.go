package browsertest

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// Options describe what a browser reaches.
type Options struct {
	// Address is host:port of the listener at which the browser finds every name under .test, on port 443.
	// No other name resolves.
	Address string
	// Authority is a PEM file: the certificate authority that Firefox trusts. WebKitGTK has no setting for that and
	// accepts any certificate.
	Authority string
}

// Window is a window of a browser. Its methods wait for what they need and fail the test when it does not come.
type Window interface {
	// Open loads a URL.
	Open(url string)
	// Until waits until a JavaScript expression is true.
	Until(expression string)
	// Text returns the text of the element.
	Text(selector string) string
	// Click clicks on the element as a mouse does.
	Click(selector string)
	// Type types into the element as a keyboard does.
	Type(selector, text string)
	// Popup returns the window that opens by a click on the element.
	Popup(selector string) Window
}

// require finds a program, or skips the test; where CI=true it fails instead.
func require(t testing.TB, program, debian string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed (apt-get install %s)", program, debian)
	}
	t.Skipf("%s is not installed (apt-get install %s)", program, debian)
	return ""
}

// startProxy starts the SOCKS proxy (RFC 1928) through which a browser reaches the world of the test, and returns its
// host:port. Neither browser has a setting of its own that sends every name to one address and port.
func startProxy(t testing.TB, address string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				forward(from.(*net.TCPConn), address)
			}()
		}
	}()
	return listener.Addr().String()
}

// forward answers a request for port 443 of a name under .test by a connection to address, and refuses any other.
func forward(from *net.TCPConn, address string) {
	read := func(n int) []byte { // zeros, which ask for nothing, where the browser has left
		bytes := make([]byte, n)
		_, _ = io.ReadFull(from, bytes)
		return bytes
	}
	read(int(read(2)[1])) // the methods of authentication that the browser knows
	_, _ = from.Write([]byte{5, 0})
	request := read(4)
	if request[1] != 1 || request[3] != 3 { // connect, a name
		_, _ = from.Write([]byte{5, 7, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	name := string(read(int(read(1)[0])))
	port := read(2)
	if !strings.HasSuffix(name, ".test") || binary.BigEndian.Uint16(port) != 443 {
		_, _ = from.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	to, err := net.Dial("tcp", address)
	if err != nil {
		_, _ = from.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer to.Close()
	_, _ = from.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to)
}

// run starts a program until the test ends.
func run(t testing.TB, command *exec.Cmd) {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatalf("starting %s: %v", command.Path, err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// openedBy returns the window that an act opens, by its name among those that the browser lists.
func openedBy(t testing.TB, windows func() []string, act func()) (opened string) {
	t.Helper()
	before := windows()
	act()
	apptest.Eventually(t, "a window opens", func() bool {
		for _, window := range windows() {
			if !slices.Contains(before, window) {
				opened = window
			}
		}
		return opened != ""
	})
	return opened
}
