package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/browserid"
)

// stack is deploy/compose.yaml, running. `make test-compose` starts it, with Pebble as the Internet's certificate
// authority, and names its folder in PERSONA_TEST_COMPOSE.
type stack struct {
	folder string
	client *http.Client   // finds every name at the published ports
	issuer *x509.CertPool // Pebble's
}

// TestCompose uses the stack as people and operators do: sign in, look how it is locked down, restart it,
// kill parts of it, take it down and up.
func TestCompose(t *testing.T) {
	folder := os.Getenv("PERSONA_TEST_COMPOSE")
	if folder == "" {
		t.Skip("no stack runs: make test-compose starts one")
	}
	s := &stack{folder: folder}
	s.connect(t)
	eventuallyIn(t, 3*time.Minute, "both names have certificates", func() bool {
		return s.answers("https://example.test/") && s.answers("https://id.example.test/.well-known/browserid")
	})
	first := s.identity(t)

	t.Run("the website is behind it", s.website)
	t.Run("the domain delegates", func(t *testing.T) {
		want := browserid.Delegation{Authority: "id.example.test"}
		if got := document(t, s.client, "example.test"); got != want {
			t.Errorf("example.test publishes %#v", got)
		}
	})
	t.Run("locked down", s.lockedDown)
	t.Run("configuration that contradicts the image", s.contradiction)
	t.Run("state that cannot be written", s.unwritable)

	ctx := s.browser(t)
	s.signIn(t, ctx)
	s.certified(t, ctx)
	s.knownToWebsite(t, ctx)

	t.Run("restarted", func(t *testing.T) {
		s.compose(t, "restart", "persona")
		s.same(t, first)
		s.stillSignedIn(t, ctx)
		s.certified(t, ctx)
	})
	t.Run("killed", func(t *testing.T) {
		s.kill(t, "persona")
		s.same(t, first)
		s.stillSignedIn(t, ctx)
	})
	t.Run("directory killed", func(t *testing.T) {
		s.compose(t, "stop", "directory")
		if status, _ := get(t, s.client, "https://example.test/"); status != http.StatusOK {
			t.Errorf("without the directory the website answers %d", status)
		}
		s.compose(t, "start", "directory")
		s.healthy(t, "directory")
		s.kill(t, "directory")
		apptest.Eventually(t, "the directory is asked again", func() bool { return s.account(ctx) == "alice" })
	})
	t.Run("website killed", func(t *testing.T) {
		s.kill(t, "website")
		apptest.Eventually(t, "the website is back", func() bool { return s.answers("https://example.test/") })
	})
	t.Run("taken down and up", func(t *testing.T) {
		s.compose(t, "rm", "--stop", "--force", "persona", "directory", "website")
		s.compose(t, "up", "-d", "--no-build")
		s.same(t, first)
		s.stillSignedIn(t, ctx)
		s.certified(t, ctx)
	})
}

// connect makes a client that trusts what Pebble issues, and nothing else.
func (s *stack) connect(t *testing.T) {
	t.Helper()
	pem, err := os.ReadFile(os.Getenv("ACME_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	management := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	s.issuer = x509.NewCertPool()
	apptest.Eventually(t, "Pebble publishes its root", func() bool {
		response, err := management.Get("https://127.0.0.1:15000/roots/0")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		root, err := io.ReadAll(response.Body)
		return err == nil && s.issuer.AppendCertsFromPEM(root)
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.client = &http.Client{
		Jar:           jar,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: s.issuer},
			DisableKeepAlives: true, // each request finds the stack as it is now
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		},
	}
}

// eventuallyIn is eventually for what takes longer.
func eventuallyIn(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-tick.C
	}
}

func (s *stack) answers(url string) bool {
	response, err := s.client.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// identity is what has to outlive every container: the published key and the TLS certificate.
type identity struct {
	document browserid.Document
	serial   string
}

func (s *stack) identity(t *testing.T) identity {
	t.Helper()
	connection, err := tls.Dial("tcp", "127.0.0.1:443", &tls.Config{ServerName: "id.example.test", RootCAs: s.issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return identity{
		document: document(t, s.client, "id.example.test"),
		serial:   connection.ConnectionState().PeerCertificates[0].SerialNumber.String(),
	}
}

// same waits until the stack answers again and checks that it is who it was.
func (s *stack) same(t *testing.T, before identity) {
	t.Helper()
	eventuallyIn(t, time.Minute, "the stack answers again", func() bool {
		return s.answers("https://id.example.test/.well-known/browserid") && s.answers("https://example.test/")
	})
	now := s.identity(t)
	if !sameKey(before.document, now.document) {
		t.Errorf("another key is published:\n%#v\n%#v", before.document, now.document)
	}
	if before.serial != now.serial {
		t.Error("another TLS certificate was ordered")
	}
}

func (s *stack) website(t *testing.T) {
	const address = "https://example.test/a%20b?x=%27&amp;y=1"
	if _, page := get(t, s.client, strings.ReplaceAll(address, "&amp;", "&")); !strings.Contains(page, address) {
		t.Errorf("the website does not see %s:\n%s", address, page)
	}
	response, err := s.client.PostForm("https://example.test/", url.Values{"note": {"<kept>"}})
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	if _, page := get(t, s.client, "https://example.test/"); response.StatusCode != http.StatusSeeOther || !strings.Contains(page, "&lt;kept&gt;") {
		t.Errorf("the form answers %d, and then the website shows\n%s", response.StatusCode, page)
	}
	for _, container := range []string{"website", "directory"} {
		if ports := s.inspect(t, container, "{{json .NetworkSettings.Ports}}"); strings.Contains(ports, "HostPort") {
			t.Errorf("%s is published: %s", container, ports)
		}
		networks := strings.Fields(s.inspect(t, container, `{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}`))
		if len(networks) != 1 || s.docker(t, "network", "inspect", "-f", "{{.Internal}}", networks[0]) != "true" {
			t.Errorf("%s reaches further than the internal network: %v", container, networks)
		}
	}
}

// lockedDown looks at the processes from outside the containers.
func (s *stack) lockedDown(t *testing.T) {
	for container, user := range map[string]string{"persona": "65532", "directory": "389", "website": "33"} {
		pid := s.inspect(t, container, "{{.State.Pid}}")
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			"Uid:\t" + strings.Repeat(user+"\t", 3) + user, "Gid:\t" + strings.Repeat(user+"\t", 3) + user,
			"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1",
		} {
			if !strings.Contains(string(status), "\n"+line+"\n") {
				t.Errorf("%s runs without %q:\n%s", container, line, status)
			}
		}
		if err := os.WriteFile("/proc/"+pid+"/root/written", nil, 0o600); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("writing into the root of %s: %v", container, err)
		}
	}
	s.healthy(t, "persona")
	if answer := s.compose(t, "exec", "-T", "persona", "/usr/local/bin/persona", "healthcheck"); !strings.Contains(answer, "alive") {
		t.Errorf("healthcheck says %q", answer)
	}
	labels := s.docker(t, "image", "inspect", "-f", "{{json .Config.Labels}}", "persona")
	for _, label := range []string{"title", "description", "version", "revision"} {
		if !strings.Contains(labels, `"org.opencontainers.image.`+label+`":"`) {
			t.Errorf("the image has no label %s: %s", label, labels)
		}
	}
}

// contradiction mounts a file that sets what the image sets: it is refused with the reason, and not
// as a fault that a restart could fix.
func (s *stack) contradiction(t *testing.T) {
	file := filepath.Join(t.TempDir(), "persona.yaml")
	apptest.Write(t, file, "listen: {https: ':443'}\ndomains: [{name: example.test, upstream: 'http://website:8080'}]\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out := s.run(t, "-v", file+":/etc/persona/persona.yaml:ro", "persona")
	if code != 2 || !strings.Contains(out, "the container image sets this variable") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// unwritable mounts a folder that belongs to another user, and does what the error says. A
// new named volume needs nothing.
func (s *stack) unwritable(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	list := func(mount string) (int, string) {
		return s.run(t, "--read-only", "-v", mount+":/var/lib/persona", "-e", "PERSONA_DOMAIN=example.test", "-e", "PERSONA_UPSTREAM=http://website:8080", "persona", "keys", "list")
	}
	code, out := list(folder)
	const cure = "chown -R 65532:65532 FOLDER && chmod -R u+rwX FOLDER"
	if code != 1 || !strings.Contains(out, cure) || !strings.Contains(out, "mounted at /var/lib/persona") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	typed := strings.ReplaceAll(cure, "FOLDER", folder)
	if out, err := exec.Command("sh", "-c", typed).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", typed, err, out)
	}
	if code, out := list(folder); code != 0 {
		t.Errorf("after %s: exit %d\n%s", typed, code, out)
	}
	if code, out := list("persona-new-volume"); code != 0 {
		t.Errorf("with a new named volume: exit %d\n%s", code, out)
	}
	s.docker(t, "volume", "rm", "persona-new-volume")
}

// kill ends a container's process as a crash does, and waits until the engine has started it anew.
func (s *stack) kill(t *testing.T, container string) {
	t.Helper()
	before := s.inspect(t, container, "{{.State.Pid}}")
	pid, err := strconv.Atoi(before)
	if err != nil || pid <= 1 {
		t.Fatalf("the process of %s is %q", container, before)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("killing %s: %v\n%s", container, err, s.inspect(t, container, "{{json .State}} restarted {{.RestartCount}}"))
	}
	eventuallyIn(t, time.Minute, container+" runs again", func() bool {
		now := s.inspect(t, container, "{{.State.Running}} {{.State.Pid}}")
		return strings.HasPrefix(now, "true ") && now != "true "+before
	})
}

// healthy waits until the engine finds a container healthy.
func (s *stack) healthy(t *testing.T, container string) {
	t.Helper()
	apptest.Eventually(t, container+" is healthy", func() bool {
		return s.inspect(t, container, "{{.State.Health.Status}}") == "healthy"
	})
}

func (s *stack) inspect(t *testing.T, container, format string) string {
	t.Helper()
	id := strings.TrimSpace(s.compose(t, "ps", "-q", container))
	return s.docker(t, "inspect", "-f", format, id)
}

func (s *stack) compose(t *testing.T, args ...string) string {
	t.Helper()
	extra := filepath.Join(s.folder, "..", ".ci", "compose", "acme.yaml")
	return s.command(t, "docker-compose", append([]string{"-p", "persona", "-f", "compose.yaml", "-f", extra}, args...)...)
}

func (s *stack) docker(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(s.command(t, "docker", args...))
}

func (s *stack) command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = s.folder
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errors.String())
	}
	return string(out)
}

// run starts a container of its own and returns how it ended.
func (s *stack) run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", append([]string{"run", "--rm"}, args...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}
