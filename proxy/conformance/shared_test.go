package conformance_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"persona-sidecar/proxy/conformance"
	"persona-sidecar/proxy/proxytest"
)

// TestNoPageReachesAnotherRequest asks one website for all odd answers of the corpus while others ask it for pages, over
// connections to the website that all share: every page must be that of its request, and none may hold anything else.
func TestNoPageReachesAnotherRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the whole program")
	}
	t.Parallel()
	// What comes late may come when the next request has been sent: then no proxy can tell it from the answer.
	odd := slices.DeleteFunc(entries(t, conformance.Answers), func(e entry) bool {
		return slices.ContainsFunc(e.Lines("answer"), func(s conformance.Step) bool { return s.Wait == "client" })
	})
	for name, settings := range map[string]string{"net/http": withTLS, "fast": withFast} {
		for _, http2 := range []bool{false, true} {
			if http2 && settings == withFast {
				continue // HTTP/2 is the same there
			}
			t.Run(fmt.Sprintf("%s, HTTP/2 %t", name, http2), func(t *testing.T) {
				t.Parallel()
				k := kind{name: "persona", command: func(t testing.TB, p *program, folder string) []string {
					p.stray.scripts = map[string]*script{}
					for _, e := range odd {
						one := newScript(e.Steps("answer"))
						close(one.late) // it waits for nothing
						p.stray.scripts["/"+e.Name] = one
					}
					write(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf("state_dir: state\n"+settings+
						"domains:\n  - {name: shared.conformance.test, upstream: \"http://%s\"}\n", p.secure, p.plain, p.stray.address))
					return []string{binary(t), "serve", "-config", filepath.Join(folder, "persona.yaml")}
				}}
				share(t, k.start(t, nil), odd, http2)
			})
		}
	}
}

// share lets some clients ask for odd answers, and as many for pages until the first have finished.
func share(t *testing.T, p *program, odd []entry, http2 bool) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	client := func() *http.Client {
		transport := &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, p.secure)
			},
			TLSClientConfig: &tls.Config{RootCAs: p.roots},
			Protocols:       protocols,
		}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: proxytest.Patience}
	}
	ask := func(client *http.Client, method, path string) (string, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://shared.conformance.test"+path, http.NoBody)
		if err != nil {
			return "", err
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	const clients = 4
	var askers, readers sync.WaitGroup
	finished := make(chan struct{})
	for i := range clients {
		askers.Go(func() {
			client := client()
			for round := range 2 {
				for j := range odd {
					e := odd[(j+i*len(odd)/clients)%len(odd)]
					method := http.MethodGet
					if e.Fields["ask"] != "" {
						method = e.Fields["ask"]
					}
					if body, _ := ask(client, method, "/"+e.Name); strings.Contains(body, alien) || strings.Contains(body, page("")) {
						t.Errorf("round %d: %s got %q", round, e.Name, body)
					}
				}
			}
		})
		readers.Go(func() {
			client := client()
			for n := 0; ; n++ {
				select {
				case <-finished:
					t.Logf("%d pages", n)
					return
				default:
				}
				path := fmt.Sprintf("/page/%d/%d", i, n)
				if body, err := ask(client, http.MethodGet, path); err != nil || body != page("GET "+path) {
					t.Errorf("%s got %q: %v", path, body, err)
				}
			}
		})
	}
	askers.Wait()
	close(finished)
	readers.Wait()
}
