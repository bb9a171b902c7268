package session_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/session"
)

// beside is another process on the same store.
func (c *company) beside() *session.Manager {
	config := c.config
	config.SignOuts = session.NewSignOuts(c.store, c.clock)
	return session.New(config)
}

// reads counts how often the store is read, from now on.
func (c *company) reads() *int {
	n := 0
	c.store.Fail = func(op, _ string) error {
		if op == "get" {
			n++
		}
		return nil
	}
	return &n
}

func TestSignOutsAreKeptInMemory(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, wiki, "anna")
	reads := c.reads()
	c.pass(30 * time.Second)
	for range 100 {
		c.expect(t, b, wiki, "anna")
	}
	if *reads != 2 { // of the session and of the person
		t.Errorf("%d reads for 100 requests", *reads)
	}
	other := c.beside()
	if _, err := other.SignOutAt(httptest.NewRecorder(), b.request(wiki), c.at(wiki), false); err != nil {
		t.Fatal(err)
	}
	*reads = 0
	c.pass(30*time.Second - time.Millisecond)
	c.expect(t, b, wiki, "anna")
	c.pass(time.Millisecond)
	c.expect(t, b, wiki, "lost")
	if *reads != 1 {
		t.Errorf("%d reads after half a minute", *reads)
	}

	b = c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, wiki, "anna")
	failures := 0
	c.store.Fail = func(string, string) error { failures++; return io.ErrClosedPipe }
	c.pass(time.Minute - time.Millisecond)
	for range 10 {
		c.expect(t, b, wiki, "anna")
	}
	if failures != 2 {
		t.Errorf("a store that fails was asked %d times within a second", failures)
	}
	c.pass(time.Millisecond)
	for range 2 {
		if visit, err := c.Visit(b.request(wiki), c.at(wiki)); !errors.Is(err, session.ErrUnavailable) || visit.Subject != nil || visit.Lost || visit.SetCookie != "" {
			t.Errorf("a minute after the last answer of the store: %+v, %v", visit, err)
		}
	}
	if _, err := c.SignOutAt(httptest.NewRecorder(), b.request(wiki), c.at(wiki), false); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("SignOutAt: %v", err)
	}
	c.store.Fail = nil
	c.expect(t, b, wiki, "anna")
}

// A clock that is set back makes no answer of the store young for long: what another process signs out meanwhile counts.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.pass(2 * time.Hour)
	c.expect(t, b, wiki, "anna")
	c.pass(-time.Hour)
	if _, err := c.beside().SignOutAt(httptest.NewRecorder(), b.request(wiki), c.at(wiki), false); err != nil {
		t.Fatal(err)
	}
	c.expect(t, b, wiki, "lost")
}

// slowStore calls read when it has read a value, before it returns it.
type slowStore struct {
	session.Store
	read func()
}

func (s *slowStore) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.Store.Get(ctx, key)
	if s.read != nil {
		s.read()
	}
	return value, err
}

// A sign-out that is recorded while the store is read counts at once: the answer from before is not kept.
func TestSignOutWhileTheStoreIsRead(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	slow := &slowStore{Store: c.store}
	c.config.SignOuts = session.NewSignOuts(slow, c.clock)
	c.reload()
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, wiki, "anna")
	slow.read = func() {
		slow.read = nil
		if _, err := c.SignOutAt(httptest.NewRecorder(), b.request(wiki), c.at(wiki), false); err != nil {
			t.Error(err)
		}
	}
	c.pass(30 * time.Second)
	c.visit(t, b, wiki)
	if slow.read != nil {
		t.Fatal("the store was not read")
	}
	c.expect(t, b, wiki, "lost")
}

func TestDirectoryIsAskedOnceForManyRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b := c.signedIn(t, "anna", session.Private, wiki)
		answer := make(chan struct{})
		c.answers = func(ctx context.Context) error {
			select {
			case <-answer:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		time.Sleep(4*time.Minute - time.Second)
		c.expect(t, b, wiki, "anna")
		synctest.Wait()
		if n := c.asked.Load(); n != 0 {
			t.Errorf("asked %d times within four minutes", n)
		}
		time.Sleep(time.Second)
		for range 10 { // and none waits
			c.expect(t, b, wiki, "anna")
		}
		time.Sleep(time.Minute)
		gone, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 10 { // all of these wait
			wg.Go(func() { c.expect(t, b, wiki, "anna") })
		}
		wg.Go(func() {
			if visit, err := c.Visit(b.request(wiki).WithContext(gone), c.at(wiki)); visit.Subject != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("a request that was given up: %+v, %v", visit, err)
			}
		})
		synctest.Wait()
		leave() // the question goes on for the others
		synctest.Wait()
		close(answer)
		wg.Wait()
		if n := c.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		c.expect(t, b, wiki, "anna")
	})
}

func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b := c.signedIn(t, "anna", session.Private, wiki)
		c.directory.Fail(errDown)
		time.Sleep(5*time.Minute - time.Millisecond)
		c.expect(t, b, wiki, "anna")
		synctest.Wait()
		time.Sleep(time.Millisecond)
		for range 10 { // without waiting
			c.expect(t, b, wiki, "away")
			synctest.Wait()
		}
		if n := c.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		c.answers = func(context.Context) error { // a server that hangs
			time.Sleep(10 * time.Second)
			return nil
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		for range 10 {
			c.expect(t, b, wiki, "away")
		}
		took := time.Since(began)
		synctest.Wait()
		if n := c.asked.Load(); n != 2 || took != time.Second { // in all, because the answer may come
			t.Errorf("asked %d times, and waited %v", n, took)
		}
		time.Sleep(10 * time.Second)
		c.answers = func(context.Context) error { panic("an entry that no one has thought of") }
		time.Sleep(5 * time.Second)
		c.expect(t, b, wiki, "away")
		synctest.Wait()
		c.answers = nil
		c.directory.Fail(nil)
		c.directory.Change("a", func(a *idptest.Account) { a.Groups = nil })
		time.Sleep(5 * time.Second)
		if visit := c.expect(t, b, wiki, "anna"); len(visit.Subject.Person.Groups) != 0 {
			t.Errorf("%+v", visit.Subject)
		}
		c.directory.Fail(errDown)
		time.Sleep(5 * time.Minute)
		c.expect(t, b, wiki, "away")
		c.directory.Fail(nil)
		time.Sleep(time.Minute)
		c.answers = func(context.Context) error { // after a while its answer is waited for again
			time.Sleep(10 * time.Second)
			return nil
		}
		c.expect(t, b, wiki, "anna")
		if len(c.world.signOuts(t)) != 0 {
			t.Error("the session was ended")
		}
	})
}

// What the directory ends is over at every host within five minutes, also for a tunnel without other requests.
func TestDirectoryEndsSessions(t *testing.T) {
	t.Parallel()
	for reason, change := range map[string]func(a *idptest.Account){
		"disabled":         func(a *idptest.Account) { a.Status = identity.Deactivated },
		"not_in_group":     func(a *idptest.Account) { a.Status = identity.NotInGroup },
		"gone":             func(a *idptest.Account) { a.Status = identity.Gone },
		"password_changed": func(a *idptest.Account) { a.PasswordChanged = changed() },
		"password_expired": func(a *idptest.Account) { a.PasswordExpired = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCompany(t, newWorldAt(t, time.Time{}))
			b := c.signedIn(t, "anna", session.Private, wiki, blog)
			ended := c.expect(t, b, wiki, "anna").Ended(t.Context())
			c.directory.Change("a", change)
			if took := after(ended); took > 5*time.Minute {
				t.Errorf("%s: it ended after %v", reason, took)
			}
			c.expect(t, b, wiki, "lost")
			c.expect(t, b, blog, "lost")
			other := c.beside()
			defer other.Close()
			if current, err := other.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent); current != nil || err != nil {
				t.Errorf("%s, at the identity host in another process: %+v, %v", reason, current, err)
			}
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if want := []string{"id.example.test a " + reason + ", request false"}; !slices.Equal(c.ended, want) {
				t.Errorf("told %q, want %q", c.ended, want)
			}
		})
	}
}

// after returns how long it takes until a channel is closed, at most a day.
func after(ended <-chan struct{}) time.Duration {
	began := time.Now()
	select {
	case <-ended:
	case <-time.After(24 * time.Hour):
	}
	return time.Since(began)
}

func TestEnded(t *testing.T) {
	t.Parallel()
	type endOf func(t *testing.T, c *company, b browser)
	signOut := func(m func(c *company) *session.Manager, everywhere bool) endOf {
		return func(t *testing.T, c *company, b browser) {
			m := m(c)
			defer m.Close()
			if _, err := m.SignOut(httptest.NewRecorder(), b.request(c.host.Name), c.host, everywhere); err != nil {
				t.Error(err)
			}
		}
	}
	reloaded := func(c *company) *session.Manager { return session.New(c.config) }
	nothing := func(*testing.T, *company, browser) {}
	const before = 7 * time.Second // from the sign-in to the tunnel: what comes each half minute is not at its end
	for name, test := range map[string]struct {
		computer session.Computer
		end      endOf
		within   time.Duration
		not      time.Duration // but not before that
	}{
		"signed out":                         {session.Private, signOut(reloaded, false), 0, 0},
		"signed out everywhere":              {session.Private, signOut(reloaded, true), 0, 0},
		"signed out by another process":      {session.Private, signOut((*company).beside, false), time.Minute, 0},
		"everywhere, by another process":     {session.Private, signOut((*company).beside, true), time.Minute, 0},
		"its own end":                        {session.Private, nothing, 8*time.Hour - before, 8*time.Hour - before},
		"a shared computer that is not used": {session.Shared, nothing, 30 * time.Minute, 30 * time.Minute},
		"a shared computer that was used": {session.Shared, func(t *testing.T, c *company, b browser) {
			time.Sleep(20 * time.Minute)
			c.expect(t, b, blog, "anna")
		}, 30 * time.Minute, 30 * time.Minute},
		"a full disk": {session.Private, func(t *testing.T, c *company, b browser) {
			c.full.Store(true)
			if _, err := c.SignOutAt(httptest.NewRecorder(), b.request(wiki), c.at(wiki), false); err == nil {
				t.Error("it was recorded")
			}
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCompany(t, newWorldAt(t, time.Time{}))
				b, other := c.signedIn(t, "anna", test.computer, wiki, blog), c.signedIn(t, "anna", session.Private, wiki)
				time.Sleep(before)
				visit := c.expect(t, b, wiki, "anna")
				ctx, leave := context.WithCancel(t.Context())
				one, two := visit.Ended(ctx), visit.Ended(t.Context())
				leave() // the other one is still there
				ctx, leave = context.WithCancel(t.Context())
				stays := c.expect(t, other, wiki, "anna").Ended(ctx)
				synctest.Wait()
				test.end(t, c, b)
				if took := after(two); took > test.within || took < test.not {
					t.Errorf("it ended after %v", took)
				}
				<-one
				c.full.Store(false)
				late := visit.Ended(t.Context()) // after the end
				if took := after(late); took > 0 {
					t.Errorf("after the end it ended after %v", took)
				}
				synctest.Wait()
				watched := 1
				select {
				case <-stays:
					watched = 0
					if test.within < time.Hour && name != "signed out everywhere" && name != "everywhere, by another process" {
						t.Error("another session ended, too")
					}
				default:
				}
				if n := c.Watched(); n != watched {
					t.Errorf("%d sessions are watched, want %d", n, watched)
				}
				leave()
				synctest.Wait()
				if n := c.Watched(); n != 0 {
					t.Errorf("%d sessions are watched after the last has left", n)
				}
			})
		})
	}
}

// A tunnel that is opened shortly before the end, while others are watched.
func TestEndedShortlyBeforeTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b := c.signedIn(t, "anna", session.Private, wiki)
		time.Sleep(time.Hour + 7*time.Second)
		c.expect(t, c.signedIn(t, "anna", session.Private, wiki), wiki, "anna").Ended(t.Context())
		time.Sleep(7*time.Hour - 17*time.Second)
		if took := after(c.expect(t, b, wiki, "anna").Ended(t.Context())); took != 10*time.Second {
			t.Errorf("it ended after %v", took)
		}
	})
}

// The directory is not asked about all tunnels at once, and about each in time.
func TestManyTunnels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		var now, most atomic.Int32
		c.answers = func(context.Context) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return nil
		}
		var all []<-chan struct{}
		for range 40 {
			all = append(all, c.expect(t, c.signedIn(t, "anna", session.Private, wiki), wiki, "anna").Ended(t.Context()))
		}
		time.Sleep(12 * time.Minute)
		if got := c.asked.Load(); got != 80 || most.Load() > 16 {
			t.Errorf("asked %d times, %d at once", got, most.Load())
		}
		c.directory.Change("a", func(a *idptest.Account) { a.Status = identity.Deactivated })
		began := time.Now()
		for _, ended := range all {
			<-ended
		}
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("the last ended after %v", took)
		}
	})
}

// Close ends what goes on beside requests; the bubble finds what it leaves behind.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b := c.signedIn(t, "anna", session.Private, wiki)
		c.answers = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		visit := c.expect(t, b, wiki, "anna")
		visit.Ended(t.Context())
		time.Sleep(4 * time.Minute)
		c.expect(t, b, wiki, "anna")
		synctest.Wait()
		if c.asked.Load() != 1 {
			t.Errorf("asked %d times", c.asked.Load())
		}
		c.Close()
		c.Close()
		visit.Ended(t.Context())
		time.Sleep(5 * time.Minute)
		c.expect(t, b, wiki, "away")
		if c.asked.Load() != 1 {
			t.Errorf("asked %d times", c.asked.Load())
		}
	})
}
