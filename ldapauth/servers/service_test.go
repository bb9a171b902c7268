package servers_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/servers"
)

// passwordFile is what a func that reads a file does.
type passwordFile struct {
	mu   sync.Mutex
	text string
	err  error
}

func (f *passwordFile) read() (servers.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return servers.Secret(f.text), f.err
}

func (f *passwordFile) write(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

// clock can be moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// wrongBinds is how many wrong passwords of the service account the directory has counted.
func wrongBinds(s *ldaptest.Server) int { return len(s.Attribute(s.BindDN, "pwdFailureTime")) }

// setPassword gives the service account another password, and takes back that it must be changed by its owner.
func setPassword(s *ldaptest.Server, password string) {
	s.SetPassword(s.BindDN, password)
	s.Replace(s.BindDN, "pwdReset")
}

// TestPasswordRotatedUnderLoad: the password is changed in the directory and a little later in the file, while people sign
// in. The account is not locked, and everything goes on at once.
func TestPasswordRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	file := &passwordFile{text: s.BindPassword}
	cfg := config(s, "ldaps://"+relay.Address())
	cfg.ReadPassword = file.read
	set := open(t, cfg)
	var (
		stop       atomic.Bool
		good, none atomic.Int64
		load       sync.WaitGroup
		odd        ldaptest.Log
	)
	for range 8 {
		load.Go(func() {
			for !stop.Load() {
				switch err := search(set); {
				case err == nil:
					good.Add(1)
				case strings.Contains(hintOf(err), "bind_password_file"):
					none.Add(1)
				case strings.Contains(err.Error(), "EOF"), strings.Contains(err.Error(), "reset"): // cut twice
				default:
					_, _ = odd.Write([]byte(hintOf(err) + "\n"))
				}
			}
		})
	}
	more := func(what string, count *atomic.Int64) {
		from := count.Load()
		ldaptest.Eventually(t, what, func() bool { return count.Load() >= from+50 })
	}
	more("searches are answered", &good)
	setPassword(s, "the new one")
	more("old connections go on", &good)
	relay.Cut()
	more("searches fail", &none)
	if n := wrongBinds(s); n != 1 {
		t.Errorf("the old password was tried %d times", n)
	}
	file.write("the new one")
	more("searches are answered again", &good)
	stop.Store(true)
	load.Wait()
	if odd.String() != "" {
		t.Error(odd.String())
	}
	if locked := s.Attribute(s.BindDN, "pwdAccountLockedTime"); len(locked) > 0 {
		t.Error("the service account is locked")
	}
	if n := stats(set, relay.Address()).Faults[servers.FaultService]; n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
}

// TestPasswordFileComesFirst: the file has the new password before the directory; no call fails.
func TestPasswordFileComesFirst(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
	file := &passwordFile{text: s.BindPassword}
	cfg := config(s, "ldaps://"+relay.Address())
	cfg.ReadPassword = file.read
	set := open(t, cfg)
	for _, change := range []func(){
		func() {}, func() { file.write("the new one") }, func() { setPassword(s, "the new one") },
	} {
		change()
		relay.Cut()
		ldaptest.Eventually(t, "the connections are closed", func() bool { return relay.Open() == 0 })
		if err := together(8, func() error { return search(set) }); err != nil {
			t.Fatal(err)
		}
	}
	if n := wrongBinds(s); n > 1 {
		t.Errorf("the old password was tried %d times", n)
	}
}

// TestWrongPassword: a password that stays wrong is tried every five minutes, by whatever needs a connection.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	var now clock
	file := &passwordFile{text: "wrong"}
	cfg := config(s, s.LDAPSURL())
	cfg.BindPassword, cfg.ReadPassword, cfg.Now = "wrong", file.read, now.now
	set := open(t, cfg)
	tryAll := func(parts ...string) {
		t.Helper()
		for _, err := range []error{
			together(16, func() error { return search(set) }), set.Ping(context.Background(), s.BaseDN), set.Peers(context.Background(), s.BaseDN)[0].Err,
		} {
			for _, part := range append(parts, "binding as the service account") {
				if err == nil || servers.Answer(err) != nil || !strings.Contains(hintOf(err), part) {
					t.Errorf("%v, want %q", hintOf(err), part)
				}
			}
			if strings.Contains(hintOf(err), "wrong\"") {
				t.Errorf("the password is in %v", err)
			}
		}
	}
	tryAll()
	if n := wrongBinds(s); n != 1 {
		t.Errorf("tried %d times", n)
	}
	file.mu.Lock()
	file.err = errors.New("permission denied")
	file.mu.Unlock()
	tryAll("not tried, because it was refused at", "permission denied", "bind_password_file", "after 5 minutes")
	file.mu.Lock()
	file.err = nil
	file.mu.Unlock()
	now.advance(5 * time.Minute)
	tryAll()
	if n := wrongBinds(s); n != 2 {
		t.Errorf("tried %d times after five minutes", n)
	}
	file.write(s.BindPassword) // no time passes
	if err := together(16, func() error { return signIn(set) }); err != nil {
		t.Error(err)
	}
	if n := wrongBinds(s); n != 0 { // the directory forgets them
		t.Errorf("%d wrong tries", n)
	}

	// Without a file it is the directory that may be put right.
	cfg = config(s, s.LDAPSURL())
	cfg.BindPassword, cfg.Now = "later", now.now
	set = open(t, cfg)
	if err := search(set); err == nil || !strings.Contains(hintOf(err), "check bind_dn and bind_password,") {
		t.Error(hintOf(err))
	}
	setPassword(s, "later")
	if err := search(set); err == nil {
		t.Error("it was tried before the time")
	}
	now.advance(5 * time.Minute)
	if err := search(set); err != nil {
		t.Error(err)
	}
}

// TestServersThatRefuse: of several addresses two are tried, not all.
func TestServersThatRefuse(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	urls := []string{s.LDAPSURL()}
	for range 3 {
		urls = append(urls, "ldaps://"+ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL())).Address())
	}
	cfg := config(s, urls...)
	cfg.BindPassword = "wrong"
	set := open(t, cfg)
	for range 3 {
		if err := together(8, func() error { return search(set) }); err == nil {
			t.Fatal("a wrong password is accepted")
		}
	}
	if n := wrongBinds(s); n > 2 {
		t.Errorf("tried %d times", n)
	}
}

// TestServersThatRefuseTogether: a wrong password is tried at two of several addresses, not all, when they come back at
// once and when its five minutes are over.
func TestServersThatRefuseTogether(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	const many = 6
	var (
		urls   []string
		relays []*ldaptest.Relay
		now    clock
	)
	for range many {
		relay := ldaptest.StartRelay(t, "127.0.0.1:0", hostOf(s.LDAPSURL()))
		relay.Freeze()
		relays, urls = append(relays, relay), append(urls, "ldaps://"+relay.Address())
	}
	cfg := config(s, urls...)
	cfg.BindPassword, cfg.Now = "wrong", now.now
	set := open(t, cfg)
	for round := 1; round <= 2; round++ {
		var waiting sync.WaitGroup
		for i := range many { // each looks at the server of another address
			waiting.Go(func() { _ = servers.Look(context.Background(), set, i) })
		}
		if round == 1 {
			ldaptest.Eventually(t, "all connect", func() bool {
				for _, relay := range relays {
					if relay.Open() == 0 {
						return false
					}
				}
				return true
			})
		}
		for _, relay := range relays {
			relay.Thaw()
		}
		waiting.Wait()
		if n := wrongBinds(s); n > 2*round {
			t.Errorf("tried %d times", n)
		}
		now.advance(5 * time.Minute)
	}
}

// TestReplicaRefuses: a replica that does not know the new password yet is passed over.
func TestReplicaRefuses(t *testing.T) {
	t.Parallel()
	first, second := ldaptest.StartSlapd(t, ldaptest.Options{}), ldaptest.StartSlapd(t, ldaptest.Options{})
	setPassword(first, "the new one")
	file := &passwordFile{text: "the new one"}
	cfg := config(first, second.LDAPSURL(), first.LDAPSURL())
	cfg.Roots.AppendCertsFromPEM(second.RootsPEM)
	cfg.BindPassword, cfg.ReadPassword = "the new one", file.read
	set := open(t, cfg)
	for range 5 {
		if err := together(8, func() error { return search(set) }); err != nil {
			t.Fatal(err)
		}
	}
	if n := wrongBinds(second); n != 1 {
		t.Errorf("tried %d times at the replica", n)
	}
}
