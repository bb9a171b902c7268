package browsertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// elementKey marks an element in JSON (section 12.2 of https://www.w3.org/TR/webdriver2/).
const elementKey = "element-6066-11e4-a52e-4f735466cecf"

// NewWebKit starts WebKitGTK's own small browser on a screen of its own and returns its first window. It ends with
// the test.
func NewWebKit(t testing.TB, options Options) Window {
	t.Helper()
	driver := require(t, "WebKitWebDriver", "webkit2gtk-driver")
	screen := startScreen(t)
	found, _ := filepath.Glob("/usr/lib/*/webkit2gtk-4*/MiniBrowser")
	if len(found) == 0 {
		t.Fatal("WebKitGTK's MiniBrowser is not installed (apt-get install webkit2gtk-driver)")
	}
	port := strconv.Itoa(apptest.FreePort(t))
	command := exec.CommandContext(t.Context(), driver, "--host=127.0.0.1", "--port="+port)
	home := t.TempDir()
	command.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "DISPLAY="+screen, "GDK_BACKEND=x11",
		"WEBKIT_DISABLE_COMPOSITING_MODE=1", "NO_AT_BRIDGE=1", "GSETTINGS_BACKEND=memory")
	run(t, command)
	session := &webDriver{base: "http://127.0.0.1:" + port}
	apptest.Eventually(t, "WebKitWebDriver answers", func() bool { return session.call(http.MethodGet, "/status", nil, nil) == nil })
	var opened struct{ SessionID string }
	err := session.call(http.MethodPost, "/session", values{"capabilities": values{"alwaysMatch": values{
		"acceptInsecureCerts": true,
		// The driver's own "proxy" gives TLS connections a proxy that is itself asked over TLS.
		"webkitgtk:browserOptions": values{"binary": found[0], "args": []string{"--automation", "--proxy=socks5://" + startProxy(t, options.Address)}},
	}}}, &opened)
	if err != nil {
		t.Fatalf("opening a session of WebKitGTK: %v", err)
	}
	session.base += "/session/" + opened.SessionID
	t.Cleanup(func() { _ = session.call(http.MethodDelete, "", nil, nil) })
	return &webKitWindow{t: t, session: session, handle: session.windows(t)[0]}
}

// startScreen starts an X server without a screen and returns its DISPLAY.
func startScreen(t testing.TB) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	command := exec.CommandContext(t.Context(), require(t, "Xvfb", "xvfb"), "-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp")
	command.ExtraFiles = []*os.File{write}
	run(t, command)
	_ = write.Close()
	number, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb gave no display: %v", err)
	}
	return ":" + strings.TrimSpace(number)
}

// webDriver is a session of WebDriver.
type webDriver struct{ base string }

func (d *webDriver) call(method, path string, parameters, result any) error {
	var body bytes.Buffer
	if parameters != nil {
		if err := json.NewEncoder(&body).Encode(parameters); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, d.base+path, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Timeout: apptest.Patience}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, answer.Value)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}

func (d *webDriver) windows(t testing.TB) []string {
	t.Helper()
	var all []string
	if err := d.call(http.MethodGet, "/window/handles", nil, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

type webKitWindow struct {
	t       testing.TB
	session *webDriver
	handle  string
}

// call sends a command to this window.
func (w *webKitWindow) call(method, path string, parameters, result any) error {
	if err := w.session.call(http.MethodPost, "/window", values{"handle": w.handle}, nil); err != nil {
		return err
	}
	return w.session.call(method, path, parameters, result)
}

func (w *webKitWindow) evaluate(expression string, result any) error {
	return w.call(http.MethodPost, "/execute/sync", values{"script": "return " + expression, "args": []any{}}, result)
}

func (w *webKitWindow) Open(url string) {
	w.t.Helper()
	if err := w.call(http.MethodPost, "/url", values{"url": url}, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *webKitWindow) Until(expression string) {
	w.t.Helper()
	apptest.Eventually(w.t, expression, func() bool {
		var holds bool
		return w.evaluate("!!("+expression+")", &holds) == nil && holds
	})
}

func (w *webKitWindow) Text(selector string) string {
	w.t.Helper()
	w.Until(exists(selector))
	var text string
	if err := w.evaluate(element(selector)+".textContent", &text); err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *webKitWindow) Click(selector string) {
	w.t.Helper()
	w.Until(visible(selector))
	if err := w.call(http.MethodPost, "/element/"+w.find(selector)+"/click", values{}, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *webKitWindow) Type(selector, text string) {
	w.t.Helper()
	w.Until(visible(selector))
	if err := w.call(http.MethodPost, "/element/"+w.find(selector)+"/value", values{"text": text}, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *webKitWindow) find(selector string) string {
	w.t.Helper()
	var found map[string]string
	if err := w.call(http.MethodPost, "/element", values{"using": "css selector", "value": selector}, &found); err != nil {
		w.t.Fatal(err)
	}
	return found[elementKey]
}

func (w *webKitWindow) Popup(selector string) Window {
	w.t.Helper()
	opened := openedBy(w.t, func() []string { return w.session.windows(w.t) }, func() { w.Click(selector) })
	return &webKitWindow{t: w.t, session: w.session, handle: opened}
}
