package servers_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"

	"github.com/rs/zerolog"
)

// pair is a name with two addresses, each a relay to the same server.
func pair(t *testing.T) (cfg servers.Config, first, second *ldaptest.Relay) {
	t.Helper()
	s := shared.Server(t)
	first = ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	port := portOf(first.Address())
	second = ldaptest.StartRelay(t, "127.0.0.2:"+port, hostOf(s.LDAPSURL()))
	cfg = config(s, "ldaps://dc.example.test:"+port)
	cfg.Resolver = &names{addresses: map[string][]string{"dc.example.test": {"127.0.0.1", "127.0.0.2"}}}
	return cfg, first, second
}

// TestFrozenAddress: one address of a name freezes under eight at once and thaws: no call fails, and none waits for it
// once it is known.
func TestFrozenAddress(t *testing.T) {
	t.Parallel()
	cfg, first, second := pair(t)
	var log ldaptest.Log
	cfg.Log = zerolog.New(&log)
	set := open(t, cfg)
	if err := together(8, func() error { return signIn(set) }); err != nil {
		t.Fatal(err)
	}
	if n := second.Open(); n != 0 {
		t.Errorf("%d connections to the second address while the first answers", n)
	}
	first.Freeze()
	if err := together(8, func() error { return signIn(set) }); err != nil {
		t.Fatal(err)
	}
	if stats(set, first.Address()).Up || !stats(set, second.Address()).Up {
		t.Errorf("%+v", set.Stats())
	}
	searches := stats(set, first.Address()).Searches.Done
	for range 50 {
		if err := together(8, func() error { return signIn(set) }); err != nil {
			t.Fatal(err)
		}
	}
	// What is counted there now is the background's.
	if now := stats(set, first.Address()); now.Searches.InUse+now.Binds.InUse != 0 || now.Searches.Done > searches+8 {
		t.Errorf("calls wait for the frozen address: %+v", now)
	}
	first.Thaw()
	ldaptest.Eventually(t, "the first address is used again", func() bool {
		if err := signIn(set); err != nil {
			t.Fatal(err)
		}
		return stats(set, first.Address()).Up
	})
	for _, part := range []string{"dc.example.test", first.Address(), "does not answer", "is back"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the operator does not read %q:\n%s", part, log.String())
		}
	}
}

// TestAddressDropsPackets: an address that nothing comes back from costs a share of the time, once.
func TestAddressDropsPackets(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	second := ldaptest.StartRelay(t, "127.0.0.2:0", hostOf(s.LDAPSURL()))
	port := portOf(second.Address())
	dropPackets(t, "127.0.0.3", port)
	cfg := config(s, "ldaps://dc.example.test:"+port)
	cfg.Timeout = 4 * time.Second
	cfg.Resolver = &names{addresses: map[string][]string{"dc.example.test": {"127.0.0.3", "127.0.0.2"}}}
	set := open(t, cfg)
	if err := together(8, func() error { return signIn(set) }); err != nil {
		t.Fatal(err)
	}
	if one := stats(set, "127.0.0.3:"+port); one.Up || one.Faults[servers.FaultTimeout] == 0 {
		t.Errorf("%+v", one)
	}
	second.Cut() // a new connection is needed: the first address is not waited for again
	began := stats(set, "127.0.0.3:"+port).Searches.Done
	if err := together(8, func() error { return signIn(set) }); err != nil {
		t.Fatal(err)
	}
	if now := stats(set, "127.0.0.3:"+port); now.Up || now.Searches.Done > began+1 { // one by a probe
		t.Errorf("tried again: %+v", now)
	}
}

// dropPackets makes an address whose port answers nothing: the queue of a listener that takes no connection is full.
func dropPackets(t *testing.T, host, port string) {
	t.Helper()
	address := net.JoinHostPort(host, port)
	config := net.ListenConfig{}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listening error
	if err := raw.Control(func(fd uintptr) { listening = syscall.Listen(int(fd), 0) }); err != nil || listening != nil {
		t.Fatal(err, listening)
	}
	for range 10 {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue is never full")
}

// TestSilentPool: what comes on old connections is swallowed, and new ones work.
func TestSilentPool(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	set := open(t, config(s, "ldaps://"+relay.Address()))
	for range 3 {
		if err := together(8, func() error { return signIn(set) }); err != nil {
			t.Fatal(err)
		}
	}
	before := stats(set, relay.Address())
	relay.Silence()
	if err := signIn(set); err != nil {
		t.Fatal(err)
	}
	now := stats(set, relay.Address())
	if n := now.Faults[servers.FaultTimeout] - before.Faults[servers.FaultTimeout]; n != 1 {
		t.Errorf("%d operations waited in vain; the first drops the other connections: %+v", n, now)
	}
	if now.Searches.Idle != 1 || now.Binds.Idle != 1 {
		t.Errorf("old connections are kept: %+v", now)
	}
	relay.Silence()
	if err := together(8, func() error { return bind(set, ldaptest.Password) }); err != nil {
		t.Fatal(err)
	}
}

// TestSilentPoolOfSeveral: where there is another server it is asked meanwhile, and a look at once shows that the first is
// well but for its old connections.
func TestSilentPoolOfSeveral(t *testing.T) {
	t.Parallel()
	cfg, first, second := pair(t)
	set := open(t, cfg)
	if err := signIn(set); err != nil {
		t.Fatal(err)
	}
	first.Silence()
	if err := signIn(set); err != nil {
		t.Fatal(err)
	}
	if second.Open() == 0 {
		t.Error("the second server was not asked")
	}
	ldaptest.Eventually(t, "the first is up without another call", func() bool { return stats(set, first.Address()).Up })
}

// TestPoolCutWhileIdle: no password is sent on a connection that the server has closed.
func TestPoolCutWhileIdle(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	set := open(t, config(s, "ldaps://"+relay.Address()))
	for range 5 {
		if err := signIn(set); err != nil {
			t.Fatal(err)
		}
		relay.Cut()
		ldaptest.Eventually(t, "the connections are closed", func() bool { return relay.Open() == 0 })
	}
	if faults := stats(set, relay.Address()).Faults; len(faults) != 0 {
		t.Errorf("they were used all the same: %v", faults)
	}
}

// TestPingKeepsNothingOpen: a look at a directory that is not used leaves no connection behind, and uses one that is there.
func TestPingKeepsNothingOpen(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	set := open(t, config(s, "ldaps://"+relay.Address()))
	for range 2 {
		if err := set.Ping(context.Background(), s.BaseDN); err != nil {
			t.Fatal(err)
		}
		ldaptest.Eventually(t, "the connection is closed", func() bool { return relay.Open() == 0 })
	}
	if err := search(set); err != nil {
		t.Fatal(err)
	}
	if err := set.Ping(context.Background(), s.BaseDN); err != nil {
		t.Fatal(err)
	}
	if n := relay.Open(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestFailoverUnderLoad: 64 at once while the first server stops and comes back.
func TestFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	first, second := ldaptest.StartSlapd(t, ldaptest.Options{}), shared.Server(t)
	cfg := config(second, first.LDAPSURL(), second.LDAPSURL())
	cfg.Roots.AppendCertsFromPEM(first.RootsPEM)
	set := open(t, cfg)
	var (
		stop   atomic.Bool
		done   atomic.Int64
		load   sync.WaitGroup
		failed ldaptest.Log
	)
	for range 64 {
		load.Go(func() {
			for !stop.Load() {
				if err := signIn(set); err != nil {
					_, _ = failed.Write([]byte(err.Error() + "\n"))
				}
				done.Add(1)
			}
		})
	}
	more := func(n int64) {
		from := done.Load()
		ldaptest.Eventually(t, "people sign in", func() bool { return done.Load() >= from+n })
	}
	more(100)
	first.Stop()
	more(200)
	first.Restart()
	ldaptest.Eventually(t, "the first is used again", func() bool { return stats(set, hostOf(first.LDAPSURL())).Up })
	more(100)
	first.Freeze()
	more(200)
	first.Thaw()
	stop.Store(true)
	load.Wait()
	if failed.String() != "" {
		t.Error(failed.String())
	}
}

// TestStats: what is counted of a server.
func TestStats(t *testing.T) {
	t.Parallel()
	s := shared.Server(t)
	set := open(t, config(s, s.LDAPSURL()))
	if err := signIn(set); err != nil {
		t.Fatal(err)
	}
	if err := bind(set, "wrong"); servers.Answer(err) == nil {
		t.Errorf("a wrong password: %v", err)
	}
	one := stats(set, hostOf(s.LDAPSURL()))
	if !one.Up || one.Searches.Done != 1 || one.Binds.Done != 2 || one.Searches.Idle != 1 || one.Binds.Idle != 1 || len(one.Faults) != 0 ||
		one.Binds.Spent <= 0 || len(one.Binds.Latency) != len(servers.LatencyBounds()) {
		t.Errorf("%+v", one)
	}
}
