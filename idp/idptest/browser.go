package idptest

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// BrowserOptions say what world a browser sees.
type BrowserOptions struct {
	// Address is host:port of the listener on loopback at which the browser
	// finds every name under .test, on whatever port. No other name resolves.
	Address string
	// Trust is the Authority.KeyHash of the authority to trust for TLS.
	Trust string
	// BlockThirdPartyCookies sets what people set in the browser's settings.
	BlockThirdPartyCookies bool
	// Deadline bounds all that a test does with the browser; 0: two minutes.
	Deadline time.Duration
}

const browserDeadline = 2 * time.Minute

// NewBrowser starts a Chromium of its own and returns the context of its first
// tab, for chromedp. The browser ends with the test. Where there is no Chromium
// the test is skipped, or fails where CI=true. It is skipped with -short, and
// under the race detector: the library has races of its own. `make browser` runs
// the tests whose names begin with TestBrowser without the detector, so another
// name is an error.
func NewBrowser(t testing.TB, options BrowserOptions) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	if underRace {
		if !strings.HasPrefix(t.Name(), "TestBrowser") {
			t.Fatal("a test in a browser needs a name that begins with TestBrowser, or no target of the Makefile runs it")
		}
		// Its fault would fail a good test now and then; what the server does is
		// under the detector in all other tests.
		t.Skip("chromedp v0.23 races with itself when it attaches to a popup: make browser runs this without the race detector")
	}
	program := chromium(t)
	home := t.TempDir()
	if options.BlockThirdPartyCookies {
		writePreferences(t, home, `{"profile":{"cookie_controls_mode":1,"block_third_party_cookies":true}}`)
	}
	_, port, err := net.SplitHostPort(options.Address)
	if err != nil {
		t.Fatalf("the address of the browser's world: %v", err)
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.Env("HOME="+home),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP *.test 127.0.0.1:%s,MAP * ~NOTFOUND", port)),
		chromedp.Flag("ignore-certificate-errors-spki-list", options.Trust),
		chromedp.Flag("disable-gpu", true),
	)
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(options.Deadline, browserDeadline))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return ctx
}

// chromium finds the browser.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	const reason = "no Chromium is installed (apt-get install chromium)"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

func writePreferences(t testing.TB, home, preferences string) {
	t.Helper()
	dir := filepath.Join(home, "profile", "Default")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Preferences"), []byte(preferences), 0o600); err != nil {
		t.Fatal(err)
	}
}

// SaveScreenshot writes what the browser shows as NAME.png into the directory
// that the environment names as PERSONA_SCREENSHOTS; without one, nowhere.
func SaveScreenshot(ctx context.Context, t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("PERSONA_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatalf("taking the screenshot %s: %v", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
