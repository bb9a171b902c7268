package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/go-ldap/ldap/v3"
)

// security is how a connection is protected.
type security int

const (
	implicitTLS security = iota // ldaps://
	startTLS
	plaintext
)

// purpose keeps searching and password-checking connections apart: after a
// user's bind a connection has that user's rights, or none.
type purpose int

const (
	searchConn purpose = iota // bound as the service account
	bindConn                  // never used for anything but binds
	purposes                  // how many there are
)

// server is one of the directory's servers with its idle connections.
type server struct {
	url      string // for logs and errors
	address  string // host:port
	security security
	tls      *tls.Config
	dialer   net.Dialer

	bindDN       string
	bindPassword Secret
	pools        [purposes]pool
}

// newServer takes a URL that Config.validate has passed.
func newServer(rawURL string, cfg *Config) (*server, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	s := &server{url: rawURL, bindDN: cfg.BindDN, bindPassword: cfg.BindPassword}
	port := ldap.DefaultLdapPort
	switch {
	case u.Scheme == "ldaps":
		s.security, port = implicitTLS, ldap.DefaultLdapsPort
	case cfg.StartTLS:
		s.security = startTLS
	default:
		s.security = plaintext
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	s.tls = &tls.Config{
		ServerName:         u.Hostname(),
		RootCAs:            cfg.Roots,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(cfg.MaxBinds + cfg.MaxSearches),
	}
	return s, nil
}

// do runs one operation on a pooled or new connection. An idle connection may
// have died unnoticed, so one that breaks is followed by a new one, once. The
// error names the server and has a hint.
func (s *server) do(ctx context.Context, p purpose, op func(*conn) error) error {
	if c := s.pools[p].take(); c != nil {
		err := s.try(ctx, c, p, op)
		if err == nil || answered(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", s.url, WithHint(err, connectHint(err)))
		}
	}
	c, err := s.connect(ctx, p)
	if err != nil {
		return err
	}
	err = s.try(ctx, c, p, op)
	if err == nil || answered(err) {
		return err
	}
	return fmt.Errorf("%s: %w", s.url, WithHint(err, connectHint(err)))
}

// try runs the operation and keeps the connection if it is still good.
func (s *server) try(ctx context.Context, c *conn, p purpose, op func(*conn) error) error {
	err := c.run(ctx, func(*ldap.Conn) error { return op(c) })
	if c.spoilt || !reusable(p, err) {
		c.close()
	} else {
		s.pools[p].put(c)
	}
	return err
}

// reusable reports whether the server's answer leaves the connection in order.
func reusable(p purpose, err error) bool {
	if p == bindConn {
		return err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials)
	}
	return err == nil || !unavailable(err)
}

// connect opens a connection and makes it fit for its purpose.
func (s *server) connect(ctx context.Context, p purpose) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, &ConnectError{Doing: "connecting to " + s.url, Err: err, hint: connectHint(err), elsewhere: true}
	}
	if p == searchConn && s.bindDN != "" {
		if err := c.run(ctx, s.bindService); err != nil {
			c.close()
			hint := connectHint(err)
			if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
				hint = "check bind_dn and bind_password, and that the account is not locked"
			}
			return nil, &ConnectError{
				Doing: "binding as the service account to " + s.url, Err: err,
				hint: hint, elsewhere: unavailable(err),
			}
		}
	}
	return c, nil
}

func (s *server) bindService(l *ldap.Conn) error {
	res, err := l.SimpleBind(&ldap.SimpleBindRequest{
		Username: s.bindDN, Password: string(s.bindPassword),
		Controls: []ldap.Control{ldap.NewControlBeheraPasswordPolicy()},
	})
	if err != nil {
		return err
	}
	if policy := passwordPolicy(res); policy != nil && policy.Error == PolicyChangeAfterReset {
		// The server would answer every search with 50 from now on.
		return ldap.NewError(ldap.LDAPResultInsufficientAccessRights, errors.New("the service account must change its password first"))
	}
	return nil
}

func (s *server) close() {
	for i := range s.pools {
		s.pools[i].close()
	}
}
