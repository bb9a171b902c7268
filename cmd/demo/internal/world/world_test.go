package world_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"persona-sidecar/cmd/demo/internal/world"
)

func start(t *testing.T, listen world.Listen) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// taken holds a port of 127.0.0.1 until the test ends.
func taken(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// TestPeople: each sample person gets what the screen says of them.
func TestPeople(t *testing.T) {
	t.Parallel()
	w := start(t, world.Listen{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	origin := w.Origin(world.Host)
	for _, p := range world.People() {
		form := url.Values{"username": {p.Login}, "password": {p.Password}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/persona/authenticate", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", origin)
		response, err := w.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		want := http.StatusSeeOther
		if p.Refused {
			want = http.StatusForbidden
		}
		if response.StatusCode != want {
			t.Errorf("%s: %s\n%s", p.Login, response.Status, body)
		}
	}
	assertNoSecrets(t, w)
}

func assertNoSecrets(t *testing.T, w *world.World) {
	t.Helper()
	log, err := os.ReadFile(w.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range world.People() {
		if strings.Contains(string(log), p.Password) {
			t.Errorf("the password of %s was logged", p.Login)
		}
	}
	tail, err := w.LogTail(2)
	if err != nil || len(tail) != 2 || !strings.HasSuffix(strings.TrimSpace(string(log)), tail[1]) {
		t.Errorf("the log's end: %q, %v", tail, err)
	}
}

func TestTakenPortsAreReplaced(t *testing.T) {
	t.Parallel()
	https, plain, shop := taken(t), taken(t), taken(t)
	w := start(t, world.Listen{HTTPS: https, HTTP: plain, Shop: shop})
	notices := strings.Join(w.Notices(), "\n")
	if len(w.Notices()) != 3 || !strings.Contains(notices, shop) || !strings.Contains(notices, https) || !strings.Contains(notices, plain) {
		t.Errorf("notices: %q", notices)
	}
	if strings.HasSuffix(https, w.Origin(world.Host)[strings.LastIndex(w.Origin(world.Host), ":"):]) {
		t.Errorf("%s is taken", https)
	}
	response, err := w.Client().Get(w.PlainOrigin(world.Alias) + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if at := response.Header.Get("Location"); at != w.Origin(world.Alias)+"/x" {
		t.Errorf("the redirect leads to %q", at)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	w := start(t, world.Listen{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	// A visitor who watches the clock must not hold up the end.
	response, err := w.Client().Get(w.Origin(world.Host) + "/clock/beats")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.Folder()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	ip, port := w.Address()
	if connection, err := net.Dial("tcp", net.JoinHostPort(ip, port)); err == nil {
		_ = connection.Close()
		t.Error("the port still answers")
	}
}

func TestStartRefusesAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, listen := range []world.Listen{
		{HTTPS: "8443", HTTP: "127.0.0.1:0"},
		{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:99999"},
		{HTTPS: "192.0.2.1:0", HTTP: "127.0.0.1:0"},
	} {
		w, err := world.Start(t.Context(), listen)
		if err == nil {
			t.Errorf("%+v: started", listen)
			_ = w.Close()
			continue
		}
		if !strings.Contains(err.Error(), "-http") {
			t.Errorf("%+v: the error does not name the flag: %v", listen, err)
		}
	}
}

func TestStartInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w, err := world.Start(ctx, world.Listen{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
		_ = w.Close()
	}
}
