package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// manyHosts writes the keys of n identity hosts, copies of one, and returns the configuration: the
// state before a second start. All hosts are below a domain, or each is a site of its own for "".
func manyHosts(t testing.TB, folder, below string, n int) string {
	t.Helper()
	name := func(i int) string { return fmt.Sprintf("host%d%s.test", i, below) }
	yaml := `
state_dir: state
listen: {http: "127.0.0.1:0", admin: "127.0.0.1:0"}
tls: {mode: "off"}
trusted_proxies: [private]
` + deadDirectory + "domains:\n"
	domain := "  - {name: %s, upstream: \"http://127.0.0.1:1\", directory: corp}\n"
	p := start(t, folder, yaml+fmt.Sprintf(domain, name(0)))
	waitForKeys(t, p)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(folder, "state", "persona", "keys")
	keyset, err := os.ReadFile(filepath.Join(keys, name(0)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		apptest.Write(t, filepath.Join(keys, name(i)+".json"), strings.ReplaceAll(string(keyset), name(0), name(i)))
		yaml += fmt.Sprintf(domain, name(i))
	}
	return yaml
}

// TestManyHosts: what a start and a reload allocate grows with the number of identity hosts, not with
// its square, whether the hosts share a site, and so name one another as hubs, or not. It does not run in
// parallel with others because it counts what the process allocates.
func TestManyHosts(t *testing.T) {
	const few, factor = 50, 8
	for layout, below := range map[string]string{"sites of their own": "", "one site": ".example"} {
		t.Run(layout, func(t *testing.T) {
			started, reloaded := map[int]uint64{}, map[int]uint64{}
			for _, n := range []int{few, few * factor} {
				folder := t.TempDir()
				yaml := manyHosts(t, folder, below, n)
				var p *program
				started[n] = allocated(func() { p = start(t, folder, yaml) })
				reloaded[n] = allocated(func() { p.mustReload(t, folder, yaml) })
				t.Logf("%d hosts: %d KiB for a start, %d KiB for a reload", n, started[n]>>10, reloaded[n]>>10)
				if err := p.stop(); err != nil {
					t.Fatal(err)
				}
			}
			for what, bytes := range map[string]map[int]uint64{"start": started, "reload": reloaded} {
				if few, many := bytes[few], bytes[few*factor]; many > few*factor*3/2 {
					t.Errorf("%d times as many hosts take %d times as much for a %s", factor, many/few, what)
				}
			}
		})
	}
}

// allocated returns how many bytes a function allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkSecondStart measures a start with keys that are there, until ready.
func BenchmarkSecondStart(b *testing.B) {
	for _, n := range []int{200, 1000} {
		for layout, below := range map[string]string{"sites": "", "one site": ".example"} {
			b.Run(fmt.Sprintf("%d hosts, %s", n, layout), func(b *testing.B) {
				folder := b.TempDir()
				yaml := manyHosts(b, folder, below, n)
				for b.Loop() {
					if err := start(b, folder, yaml).stop(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
