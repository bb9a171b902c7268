//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"

	"github.com/google/go-cmp/cmp"
)

// TestTwoStartAtOnce: two processes that start at once on an empty state directory end
// up with the same keys, one of each, and both serve them.
func TestTwoStartAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	hosts := []string{"example.test", "example.net"}
	world(t, folder, deadDirectory, hosts...)
	first, second := serve(t, folder), serve(t, folder)
	first.ready(t)
	second.ready(t)
	for _, host := range hosts {
		if diff := cmp.Diff(first.document(t, host), second.document(t, host)); diff != "" {
			t.Errorf("the processes publish different keys for %s:\n%s", host, diff)
		}
	}
	var keysets []string
	for name := range keyIDs(t, folder) { // each holds one key
		keysets = append(keysets, filepath.Base(name))
	}
	slices.Sort(keysets)
	if diff := cmp.Diff([]string{"_program.json", "example.net.json", "example.test.json"}, keysets); diff != "" {
		t.Errorf("in the state directory (-want +got):\n%s", diff)
	}
	first.terminate(t)
	second.terminate(t)
}

// TestSharedState: a second process on one state directory serves at once and says that
// it is the second, also after a reload of the first; a command beside it is no second. After a
// crash of the first, which leaves nothing behind, the state directory is the second's.
func TestSharedState(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	world(t, folder, deadDirectory, "example.test")
	const shared = `"message":"state_dir is shared"`
	first := serve(t, folder)
	first.ready(t)
	lock := filepath.Join(folder, "state/locks/persona/serve.flock")
	if err := first.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	apptest.Eventually(t, "the first has reloaded", func() bool { return strings.Contains(first.log.String(), "configuration reloaded") })
	if code, said := run(t, persona(t, folder, "keys", "list", "-config", "persona.yaml")); code != 0 || said != "" {
		t.Errorf("keys list beside it: %d %s", code, said)
	}

	second := serve(t, folder)
	second.ready(t)
	apptest.Eventually(t, "the second says so", func() bool { return strings.Contains(second.log.String(), shared) })
	if text := second.log.String(); !strings.Contains(text, "another persona serves from this state_dir") || !strings.Contains(text, "fuser "+lock) {
		t.Errorf("it logged %s", text)
	}
	response, err := second.client.Get("http://" + second.admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var health struct{ Degraded []string }
	if err := json.NewDecoder(response.Body).Decode(&health); err != nil || response.StatusCode != http.StatusOK || !slices.Contains(health.Degraded, "state_dir") {
		t.Errorf("health: %s, %v, %v", response.Status, health, err)
	}
	second.document(t, "example.test")
	if strings.Contains(first.log.String(), shared) {
		t.Error("the first says it as well")
	}
	first.kill(t)
	apptest.Eventually(t, "the second has it alone", func() bool { return strings.Contains(second.log.String(), "state_dir is not shared any more") })
	third := serve(t, folder)
	third.ready(t)
	apptest.Eventually(t, "the third says so", func() bool { return strings.Contains(third.log.String(), shared) })
	third.terminate(t)
	second.terminate(t)
}

// TestKilledWhileMakingKeys kills the process again and again while it makes its first
// keys, at any moment. Each start works on what the one before left behind, no key that
// was published is ever replaced, and in the end each host publishes one.
func TestKilledWhileMakingKeys(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	hosts := []string{"a.test", "b.test", "c.test", "d.test", "e.test", "f.test"}
	world(t, folder, deadDirectory, hosts...)
	all := len(hosts) + 1 // the hosts' keys and the cookies'
	published := map[string]string{}
	rounds := 0
	for ; len(published) < all && rounds < 30; rounds++ {
		writes, pause := 1+rand.IntN(6), time.Duration(rand.IntN(3000))*time.Microsecond
		t.Logf("round %d: killed %v after write %d", rounds, pause, writes)
		p := serve(t, folder)
		afterWrites(t, p, folder, writes, all)
		<-time.After(pause) // the moment is anyone's
		p.kill(t)
		after := keyIDs(t, folder)
		for keyset, kid := range published {
			if after[keyset] != kid {
				t.Errorf("%s held the key %s, now %q", keyset, kid, after[keyset])
			}
		}
		published = after
	}
	if rounds < 2 {
		t.Errorf("killed %d times only", rounds)
	}
	p := serve(t, folder)
	p.ready(t)
	for _, host := range hosts {
		if body := p.document(t, host); strings.Contains(body, `"keys"`) {
			t.Errorf("%s publishes more than one key: %s", host, body)
		}
	}
	for keyset, kid := range keyIDs(t, folder) {
		if before := published[keyset]; before != "" && before != kid {
			t.Errorf("%s held the key %s, now %s", keyset, before, kid)
		}
	}
}

// afterWrites waits until a number of files have come into being, or all keysets are
// there.
func afterWrites(t *testing.T, p *process, folder string, writes, all int) {
	t.Helper()
	seen := files(t, folder)
	apptest.Eventually(t, "files are written", func() bool {
		select {
		case <-p.ended:
			t.Fatal("the start failed")
		default:
		}
		now := files(t, folder)
		made := 0
		for name := range now {
			if _, old := seen[name]; !old {
				writes--
			}
			if isKeyset(name) {
				made++
			}
		}
		maps.Copy(seen, now)
		return writes <= 0 || made == all
	})
}

func isKeyset(name string) bool {
	return strings.HasSuffix(filepath.Dir(name), "persona/keys") && filepath.Ext(name) == ".json"
}

// keyIDs returns the id of the one key of each keyset.
func keyIDs(t *testing.T, folder string) map[string]string {
	t.Helper()
	named := map[string]string{}
	for name, text := range files(t, folder) {
		if !isKeyset(name) {
			continue
		}
		var keyset struct {
			Keys []struct {
				KID string `json:"kid"`
			} `json:"keys"`
		}
		if err := json.Unmarshal([]byte(text), &keyset); err != nil || len(keyset.Keys) != 1 {
			t.Fatalf("%s holds %s: %v", name, text, err)
		}
		named[name] = fmt.Sprint(keyset.Keys[0].KID)
	}
	return named
}
