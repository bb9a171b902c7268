//go:build unix

package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/ldapauth/ldaptest"
)

// process is a persona of its own, which a test may kill.
type process struct {
	command *exec.Cmd
	log     *apptest.Log
	http    string // where it serves, once ready
	admin   string // the same for the admin listener
	client  *http.Client
	ended   chan struct{} // closed once it has ended
}

// persona prepares the test binary to run as persona in a folder.
func persona(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	self := "/proc/self/exe" // which another user may run too
	if _, err := os.Stat(self); err != nil {
		self = os.Args[0]
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), self)
	command.Args = append([]string{"persona"}, args...)
	command.Dir = folder
	return command
}

// serve starts persona on the folder's persona.yaml; it is killed when the test ends.
func serve(t *testing.T, folder string) *process {
	t.Helper()
	p := newProcess(persona(t, folder, "serve", "-config", "persona.yaml"))
	p.start(t)
	return p
}

func newProcess(command *exec.Cmd) *process {
	return &process{
		command: command, log: &apptest.Log{}, ended: make(chan struct{}),
		client: &http.Client{
			Timeout:       apptest.Patience,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (p *process) start(t *testing.T) {
	t.Helper()
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // the log says why
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill(t)
		p.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("a persona logged:\n%s", p.log)
		}
	})
}

// kill ends the process as a loss of power would, and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-p.ended
}

// terminate asks the process to stop and waits until it has.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(apptest.Patience):
		t.Fatal("it did not stop")
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exited with %d", code)
	}
}

var readyLine = regexp.MustCompile(`"admin":"([^"]+)".*"http":"([^"]+)".*"ready"|"http":"([^"]+)".*"admin":"([^"]+)".*"ready"`)

// ready waits until the process serves.
func (p *process) ready(t *testing.T) {
	t.Helper()
	apptest.Eventually(t, "it is ready", func() bool {
		select {
		case <-p.ended:
			t.Fatal("it ended before it was ready")
		default:
		}
		at := readyLine.FindStringSubmatch(p.log.String())
		if at == nil {
			return false
		}
		p.admin, p.http = at[1]+at[4], at[2]+at[3]
		return true
	})
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	cookie string // "name=value" of the cookie it sets, if any
}

// get asks for a page as the terminator in front would hand it over.
func (p *process) get(t *testing.T, host, path string) answer {
	t.Helper()
	got, err := p.ask(t.Context(), http.MethodGet, host, path, "", nil)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return got
}

// ask sends a request with a cookie, or none, and a form of our own pages, or none.
func (p *process) ask(ctx context.Context, method, host, path, cookie string, form url.Values) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+p.http+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	request.Host = host
	request.Header.Set("X-Forwarded-Proto", "https")
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "https://"+host)
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	response, err := p.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	got := answer{status: response.StatusCode, body: string(text)}
	for _, c := range response.Cookies() {
		got.cookie = c.Name + "=" + c.Value
	}
	return got, err
}

// signIn returns the cookie of a new session.
func (p *process) signIn(t *testing.T, login string) (cookie string) {
	t.Helper()
	got, err := p.trySignIn(t.Context(), login)
	if err != nil || got.status != http.StatusSeeOther || got.cookie == "" {
		t.Fatalf("signing in as %s: %d %v\n%s", login, got.status, err, got.body)
	}
	return got.cookie
}

func (p *process) trySignIn(ctx context.Context, login string) (answer, error) {
	return p.ask(ctx, http.MethodPost, "example.test", "/persona/authenticate", "",
		url.Values{"username": {login}, "password": {ldaptest.Password}, "computer": {"private"}})
}

// signedIn reports whether a cookie is a session.
func (p *process) signedIn(t *testing.T, cookie string) bool {
	t.Helper()
	got, err := p.ask(t.Context(), http.MethodGet, "example.test", "/persona/api/session", cookie, nil)
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("asking for the session: %d %v %s", got.status, err, got.body)
	}
	return strings.Contains(got.body, `"signed_in":true`)
}

// document waits for the support document of a host.
func (p *process) document(t *testing.T, host string) (body string) {
	t.Helper()
	apptest.Eventually(t, "the document of "+host, func() bool {
		got := p.get(t, host, "/.well-known/browserid")
		body = got.body
		return got.status == http.StatusOK
	})
	return body
}

// world writes a persona.yaml for identity hosts behind a terminator, all with the same
// website and a directory that may be down.
func world(t *testing.T, folder, directory string, hosts ...string) {
	t.Helper()
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "website ", r.Host)
	}))
	t.Cleanup(website.Close)
	text := "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {mode: \"off\"}\ntrusted_proxies: [private]\ndomains:\n"
	for _, host := range hosts {
		text += fmt.Sprintf("  - {name: %s, upstream: %q, directory: corp}\n", host, website.URL)
	}
	put(t, filepath.Join(folder, "persona.yaml"), text+directory)
}

const deadDirectory = `
directories:
  corp: {preset: openldap, urls: ["ldaps://127.0.0.1:1"], base_dn: "dc=example,dc=test"}
`

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files returns all files below a folder, with their contents.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // renamed meanwhile
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		name, relErr := filepath.Rel(folder, path)
		all[name] = string(text)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
