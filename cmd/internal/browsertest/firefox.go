package browsertest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"persona-sidecar/cmd/internal/apptest"

	"golang.org/x/net/websocket"
)

// NewFirefox starts a Firefox of its own and returns its first window. The browser ends with the test.
func NewFirefox(t testing.TB, options Options) Window {
	t.Helper()
	program := require(t, "firefox-esr", "firefox-esr")
	profile := t.TempDir()
	trust(t, profile, options.Authority)
	host, port, _ := net.SplitHostPort(startProxy(t, options.Address))
	var settings strings.Builder
	for name, value := range map[string]any{
		"network.proxy.type":                              1,
		"network.proxy.socks":                             host,
		"network.proxy.socks_port":                        json.RawMessage(port),
		"network.proxy.socks_remote_dns":                  true,
		"network.captive-portal-service.enabled":          false,
		"network.connectivity-service.enabled":            false,
		"app.normandy.enabled":                            false,
		"app.update.enabled":                              false,
		"browser.safebrowsing.malware.enabled":            false,
		"browser.safebrowsing.phishing.enabled":           false,
		"browser.shell.checkDefaultBrowser":               false,
		"browser.startup.page":                            0,
		"datareporting.policy.dataSubmissionEnabled":      false,
		"services.settings.server":                        "",
		"toolkit.telemetry.server":                        "",
		"security.certerrors.mitm.priming.enabled":        false,
		"security.remote_settings.crlite_filters.enabled": false,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&settings, "user_pref(%q, %s);\n", name, text)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(settings.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	const origin = "http://127.0.0.1"
	command := exec.CommandContext(t.Context(), program, "--headless", "--no-remote", "--profile", profile,
		"--remote-debugging-port", "0", "--remote-allow-origins", origin)
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	printed, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, command)
	endpoint := ""
	lines := bufio.NewScanner(printed)
	for endpoint == "" && lines.Scan() {
		_, endpoint, _ = strings.Cut(lines.Text(), "WebDriver BiDi listening on ")
	}
	if endpoint == "" {
		t.Fatal("Firefox ended before it listened")
	}
	go func() { // an unread pipe would stop it
		for lines.Scan() {
		}
	}()
	connection, err := websocket.Dial(endpoint+"/session", "", origin)
	if err != nil {
		t.Fatalf("connecting to Firefox: %v", err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	session := &bidi{connection: connection, waiting: map[int]chan bidiAnswer{}}
	go session.read()
	if err := session.call("session.new", values{"capabilities": values{}}, nil); err != nil {
		t.Fatalf("opening a session of Firefox: %v", err)
	}
	return &firefoxWindow{t: t, session: session, context: session.windows(t)[0]}
}

// trust makes the profile's database of certificates, with one authority in it.
func trust(t testing.TB, profile, authority string) {
	t.Helper()
	certutil := require(t, "certutil", "libnss3-tools")
	for _, arguments := range [][]string{
		{"-N", "--empty-password"},
		{"-A", "-n", "authority", "-t", "C,,", "-i", authority},
	} {
		arguments = append(arguments, "-d", "sql:"+profile)
		if out, err := exec.CommandContext(t.Context(), certutil, arguments...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
}

// values are the parameters of a command.
type values map[string]any

// bidi is a connection of WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/).
type bidi struct {
	connection *websocket.Conn

	mu      sync.Mutex
	last    int
	waiting map[int]chan bidiAnswer
	ended   error
}

type bidiAnswer struct {
	ID      *int
	Type    string
	Error   string
	Message string
	Result  json.RawMessage
}

func (b *bidi) read() {
	for {
		var answer bidiAnswer
		err := websocket.JSON.Receive(b.connection, &answer)
		b.mu.Lock()
		if err != nil {
			b.ended = fmt.Errorf("the connection to Firefox ended: %w", err)
			for _, channel := range b.waiting {
				close(channel)
			}
			b.mu.Unlock()
			return
		}
		if answer.ID != nil && b.waiting[*answer.ID] != nil {
			b.waiting[*answer.ID] <- answer
			delete(b.waiting, *answer.ID)
		}
		b.mu.Unlock()
	}
}

// call sends a command and decodes its result into the value that result points to, unless that is nil.
func (b *bidi) call(method string, parameters values, result any) error {
	b.mu.Lock()
	if b.ended != nil {
		b.mu.Unlock()
		return b.ended
	}
	b.last++
	id, channel := b.last, make(chan bidiAnswer, 1)
	b.waiting[id] = channel
	b.mu.Unlock()
	if err := websocket.JSON.Send(b.connection, values{"id": id, "method": method, "params": parameters}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer, ok := <-channel
	if !ok {
		return fmt.Errorf("%s: %w", method, b.ended)
	}
	if answer.Type != "success" {
		return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// windows lists the browsing contexts of all windows.
func (b *bidi) windows(t testing.TB) []string {
	t.Helper()
	var tree struct{ Contexts []struct{ Context string } }
	if err := b.call("browsingContext.getTree", values{"maxDepth": 0}, &tree); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, window := range tree.Contexts {
		all = append(all, window.Context)
	}
	return all
}

type firefoxWindow struct {
	t       testing.TB
	session *bidi
	context string
}

// remote is a value of a page (section "RemoteValue" of the standard).
type remote struct {
	Type     string
	Value    json.RawMessage
	SharedID string `json:"sharedId"`
}

// evaluate fails while pages change.
func (w *firefoxWindow) evaluate(expression string) (remote, error) {
	var answer struct {
		Type             string
		Result           remote
		ExceptionDetails struct{ Text string }
	}
	err := w.session.call("script.evaluate", values{
		"expression": expression, "target": values{"context": w.context}, "awaitPromise": false,
	}, &answer)
	if err == nil && answer.Type != "success" {
		err = errors.New(answer.ExceptionDetails.Text)
	}
	return answer.Result, err
}

func (w *firefoxWindow) Open(url string) {
	w.t.Helper()
	if err := w.session.call("browsingContext.navigate", values{"context": w.context, "url": url, "wait": "complete"}, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *firefoxWindow) Until(expression string) {
	w.t.Helper()
	apptest.Eventually(w.t, expression, func() bool {
		got, err := w.evaluate("!!(" + expression + ")")
		return err == nil && string(got.Value) == "true"
	})
}

func (w *firefoxWindow) Text(selector string) string {
	w.t.Helper()
	w.Until(exists(selector))
	got, err := w.evaluate(element(selector) + ".textContent")
	if err != nil {
		w.t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(got.Value, &text); err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *firefoxWindow) Click(selector string) {
	w.t.Helper()
	w.Until(visible(selector))
	target, err := w.evaluate(element(selector))
	if err != nil {
		w.t.Fatal(err)
	}
	w.act(values{"type": "pointer", "id": "mouse", "actions": []values{
		{"type": "pointerMove", "x": 0, "y": 0, "origin": values{"type": "element", "element": values{"sharedId": target.SharedID}}},
		{"type": "pointerDown", "button": 0},
		{"type": "pointerUp", "button": 0},
	}})
}

func (w *firefoxWindow) Type(selector, text string) {
	w.t.Helper()
	w.Click(selector)
	var keys []values
	for _, character := range text {
		keys = append(keys, values{"type": "keyDown", "value": string(character)}, values{"type": "keyUp", "value": string(character)})
	}
	w.act(values{"type": "key", "id": "keyboard", "actions": keys})
}

// act performs input. A click that closes its window or leaves its page may end the command early: what it
// leads to is what a test waits for.
func (w *firefoxWindow) act(source values) {
	w.t.Helper()
	err := w.session.call("input.performActions", values{"context": w.context, "actions": []values{source}}, nil)
	if err != nil && !strings.Contains(err.Error(), "no such frame") {
		w.t.Fatal(err)
	}
}

func (w *firefoxWindow) Popup(selector string) Window {
	w.t.Helper()
	opened := openedBy(w.t, func() []string { return w.session.windows(w.t) }, func() { w.Click(selector) })
	return &firefoxWindow{t: w.t, session: w.session, context: opened}
}

// element is the JavaScript expression of a selector's first element.
func element(selector string) string { return fmt.Sprintf("document.querySelector(%q)", selector) }

// exists is true once there is an element.
func exists(selector string) string { return element(selector) + " !== null" }

// visible is true once an element can be clicked.
func visible(selector string) string {
	return fmt.Sprintf("document.readyState === 'complete' && %[1]s !== null && %[1]s.getClientRects().length > 0 && !%[1]s.disabled", element(selector))
}
