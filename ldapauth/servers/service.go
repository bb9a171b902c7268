package servers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	// refusedTime is how long a password of the service account that was refused is not tried again: directories lock
	// an account after a few wrong ones, and with it every other program that uses it.
	refusedTime = 5 * time.Minute
	// refusingServers is how many servers must refuse a password before none is asked: a replica may lag behind.
	refusingServers = 2
)

// service is the account that searches.
type service struct {
	dn   string
	read func() (Secret, error) // nil: the password never changes
	now  func() time.Time
	turn chan struct{} // is held for a bind at any server, but not for longer than [leastPatience]

	mu       sync.Mutex
	password Secret
	refusals map[*server]refusal // of this password
}

type refusal struct {
	at  time.Time
	err error
}

// current returns the password to bind with at a server, or an error where it was refused a short while ago and has not
// been changed since. Nothing is sent.
func (s *service) current(srv *server) (Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, refused := s.refusals[srv]
	if len(s.refusals) >= refusingServers {
		for _, one := range s.refusals {
			if one.at.After(last.at) {
				last, refused = one, true
			}
		}
	}
	if !refused || s.now().Sub(last.at) >= refusedTime {
		return s.password, nil
	}
	changed, err := s.renewLocked()
	if changed {
		return s.password, nil
	}
	return "", s.refused(srv, errors.Join(fmt.Errorf("not tried, because it was refused at %s: %w", last.at.Format("15:04:05"), last.err), err))
}

// renewLocked reads the password anew and reports whether it has changed.
func (s *service) renewLocked() (bool, error) {
	if s.read == nil {
		return false, nil
	}
	password, err := s.read()
	if err != nil {
		return false, fmt.Errorf("reading it anew: %w", err)
	}
	if password == s.password {
		return false, nil
	}
	s.password, s.refusals = password, nil
	return true, nil
}

func (s *service) refused(srv *server, err error) error {
	hint := "check bind_dn and bind_password, and that the account is not locked; it is tried again after 5 minutes, so that wrong tries do not lock it"
	if s.read != nil {
		hint = "check bind_dn and bind_password_file, and that the account is not locked; it is tried again when the file changes, or after 5 minutes, so that wrong tries do not lock it"
	}
	return &ConnectError{Doing: "binding as the service account to " + srv.name, Err: err, hint: hint, elsewhere: true}
}

// bind binds a new connection as the service account, one after the other, so that a password that is not right any more
// is not tried at all servers before the first has answered. After a refusal the password is read anew, and tried at once if it has changed.
func (s *service) bind(ctx context.Context, until time.Time, c *conn) error {
	if s.dn == "" {
		return nil
	}
	srv := c.server
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for _, turn := range []chan struct{}{srv.turn, s.turn} {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return s.failure(srv, ctx.Err())
		case <-timer.C:
			return s.failure(srv, &silentError{after: time.Since(c.used)})
		}
		end := sync.OnceFunc(func() { <-turn })
		defer end()
		if turn == s.turn { // a silent server must not hold up the others
			defer time.AfterFunc(leastPatience, end).Stop()
		}
	}
	for {
		password, err := s.current(srv)
		if err != nil {
			return err
		}
		began := time.Now()
		err = c.run(ctx, until, func() error {
			policy, err := c.bind(s.dn, password)
			if err == nil && policy != nil && policy.Error == PolicyChangeAfterReset {
				// The server would answer every search with 50 from now on.
				return ldap.NewError(ldap.LDAPResultInsufficientAccessRights, errors.New("the service account must change its password first"))
			}
			return err
		})
		switch {
		case err == nil:
			s.mu.Lock()
			delete(s.refusals, srv)
			s.mu.Unlock()
			return nil
		case !ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultConstraintViolation):
			srv.figures.failed(searchConn, time.Since(began), err)
			return s.failure(srv, err)
		}
		srv.figures.failed(searchConn, time.Since(began), errServiceRefused)
		s.mu.Lock()
		changed := s.password != password // by another server's refusal
		if !changed {
			if s.refusals == nil {
				s.refusals = make(map[*server]refusal)
			}
			s.refusals[srv] = refusal{at: s.now(), err: err}
			var failed error
			changed, failed = s.renewLocked()
			err = errors.Join(err, failed)
		}
		s.mu.Unlock()
		if !changed {
			return s.refused(srv, err)
		}
	}
}

var errServiceRefused = errors.New("the service account is refused")

func (s *service) failure(srv *server, err error) error {
	return &ConnectError{Doing: "binding as the service account to " + srv.name, Err: err, hint: connectHint(err), elsewhere: unavailable(err)}
}
