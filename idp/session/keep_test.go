package session_test

import (
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/session"
)

// A session of which an app holds tokens is ended by the directory within five minutes though no one comes back, and who wants to is told.
func TestKeptSessionsAreFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		told := make(chan session.End, 10)
		c.OnEnd(func(e session.End) { told <- e })
		b := c.signedIn(t, "anna", session.Private)
		subject, kept, err := c.Keep(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent)
		if err != nil || subject == nil || subject.Person.Login != "anna" {
			t.Fatal(subject, err)
		}
		recall := func() *session.Subject {
			subject, err := c.Recall(b.request(c.host.Name), c.host, kept)
			if err != nil {
				t.Fatal(err)
			}
			return subject
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := c.asked.Load(); n != 0 || c.Watched() != 0 {
			t.Fatalf("without tokens: asked %d times, %d watched", n, c.Watched())
		}
		for range 3 {
			recall()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := c.asked.Load(); n < 3+12 || n > 3+15 || c.Watched() != 1 {
			t.Errorf("within an hour asked %d times, %d watched", n, c.Watched())
		}
		c.directory.Fail(errDown)
		time.Sleep(time.Hour)
		synctest.Wait()
		c.directory.Fail(nil)
		if recall() == nil || len(told) != 0 {
			t.Fatal("the session has ended while the directory was away")
		}
		c.directory.Change("a", func(a *idptest.Account) { a.Status = identity.Locked })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if want := []string{"id.example.test a locked, request false"}; !slices.Equal(c.ended, want) {
			t.Errorf("ended: %v", c.ended)
		}
		if len(told) != 1 || <-told != (session.End{Directory: "corp", Person: "a", Session: subject.ID}) || c.Watched() > 0 {
			t.Error("it was not told of, or is watched still")
		}
		if recall() != nil {
			t.Error("it counts still")
		}
	})
}

// TestTold: each way to end a session before its time is told of.
func TestTold(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	var told []session.End
	c.OnEnd(func(e session.End) { told = append(told, e) })
	all, one := session.End{Directory: "corp", Person: "a"}, func(b browser) session.End {
		subject, err := c.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent)
		if err != nil || subject == nil {
			t.Fatal(subject, err)
		}
		return session.End{Directory: "corp", Person: "a", Session: subject.ID}
	}
	person := identity.Person{Directory: "corp", ID: "a", Login: "anna"}
	for name, end := range map[string]func(b browser) (want []session.End, err error){
		"signed out": func(b browser) ([]session.End, error) {
			want := []session.End{one(b)}
			_, err := c.SignOut(httptest.NewRecorder(), b.request(c.host.Name), c.host, false)
			return want, err
		},
		"everywhere": func(b browser) ([]session.End, error) {
			want := []session.End{all, one(b)}
			_, err := c.SignOut(httptest.NewRecorder(), b.request(c.host.Name), c.host, true)
			return want, err
		},
		"password changed here": func(b browser) ([]session.End, error) {
			want := []session.End{all, one(b)}
			_, err := c.PasswordChanged(httptest.NewRecorder(), b.request(c.host.Name), c.host, person, true)
			return want, err
		},
		"signed in again": func(b browser) ([]session.End, error) {
			want := []session.End{one(b)}
			return want, c.SignIn(httptest.NewRecorder(), b.request(c.host.Name), c.host, person, session.Private)
		},
		"while the store is full": func(b browser) ([]session.End, error) {
			want := []session.End{one(b)}
			c.full.Store(true)
			defer c.full.Store(false)
			if _, err := c.SignOut(httptest.NewRecorder(), b.request(c.host.Name), c.host, false); err == nil {
				t.Error("no error")
			}
			return want, nil
		},
	} {
		b := c.signedIn(t, "anna", session.Private)
		told = nil
		if want, err := end(b); err != nil || !slices.Equal(told, want) {
			t.Errorf("%s: told of %v, want %v: %v", name, told, want, err)
		}
	}
}
