package directory_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/cmd/demo/internal/ca"
	"persona-sidecar/cmd/demo/internal/directory"
)

const (
	baseDN          = "dc=example,dc=localhost"
	servicePassword = "service secret"
	aliceDN         = "uid=alice,ou=people," + baseDN
)

// world is a running directory and what a client needs to reach it.
type world struct {
	server *directory.Server
	roots  *x509.CertPool
}

func start(t *testing.T) world {
	t.Helper()
	authority, err := ca.New(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	server, err := directory.Start(t.Context(), directory.Config{
		Certificate: certificate, Roots: authority.Roots(),
		BaseDN: baseDN, BindPassword: servicePassword, People: people(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return world{server: server, roots: authority.Roots()}
}

func people() []directory.Person {
	return []directory.Person{
		{
			Login: "alice", GivenName: "Alice", FamilyName: "Ångström", Password: "wonderland", Groups: []string{"staff", "board"},
			Mail: []string{"alice@example.localhost", "sales@example.localhost"},
		},
		{Login: "bob", GivenName: "Bob", FamilyName: "Builder", Password: "can-we-fix-it", Groups: []string{"staff"}, Mail: []string{"bob@example.localhost"}},
		{Login: "carol", GivenName: "Carol", FamilyName: "(Star*)", Password: "singing"},
		{Login: "dave", GivenName: "Dave", FamilyName: "New", Password: "first-day", State: directory.MustChange},
		{Login: "erin", GivenName: "Erin", FamilyName: "Gone", Password: "too-often", State: directory.Locked},
	}
}

func (w world) dial(t *testing.T) *ldap.Conn {
	t.Helper()
	connection, err := ldap.DialURL(w.server.URL(), ldap.DialWithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.roots}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (w world) service(t *testing.T) *ldap.Conn {
	t.Helper()
	connection := w.dial(t)
	if err := connection.Bind(w.server.BindDN(), servicePassword); err != nil {
		t.Fatal(err)
	}
	return connection
}

func code(err error) uint16 {
	if err == nil {
		return ldap.LDAPResultSuccess
	}
	var e *ldap.Error
	if !errors.As(err, &e) {
		return ldap.ErrorUnexpectedResponse
	}
	return e.ResultCode
}

func TestBind(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, test := range map[string]struct {
		dn, password string
		want         uint16
	}{
		"right":             {aliceDN, "wonderland", ldap.LDAPResultSuccess},
		"other spelling":    {"UID=Alice, OU=People,dc=Example,dc=localhost", "wonderland", ldap.LDAPResultSuccess},
		"wrong password":    {aliceDN, "Wonderland", ldap.LDAPResultInvalidCredentials},
		"another's":         {aliceDN, "can-we-fix-it", ldap.LDAPResultInvalidCredentials},
		"unknown person":    {"uid=mallory,ou=people," + baseDN, "wonderland", ldap.LDAPResultInvalidCredentials},
		"entry cannot bind": {"ou=people," + baseDN, "wonderland", ldap.LDAPResultInvalidCredentials},
		"not a DN":          {"alice", "wonderland", ldap.LDAPResultInvalidDNSyntax},
		"password alone":    {"", "wonderland", ldap.LDAPResultInvalidCredentials},
		"locked":            {"uid=erin,ou=people," + baseDN, "too-often", ldap.LDAPResultInvalidCredentials},
		"binary":            {aliceDN, "wonder\x00land\xff", ldap.LDAPResultInvalidCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := code(w.dial(t).Bind(test.dn, test.password)); got != test.want {
				t.Errorf("code %d, want %d", got, test.want)
			}
		})
	}
}

// TestUnauthenticatedBind: a DN without a password proves nothing, though LDAP has a success for it (RFC 4513, 5.1.2).
func TestUnauthenticatedBind(t *testing.T) {
	t.Parallel()
	w := start(t)
	connection := w.dial(t)
	if got := code(connection.UnauthenticatedBind(aliceDN)); got != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("code %d, want unwilling to perform", got)
	}
	if _, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, "(uid=*)")); code(err) != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("and it may search: %v", err)
	}
}

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, test := range map[string]struct {
		login, password string
		code            uint16
		fault           int8
	}{
		"must change":                {"dave", "first-day", ldap.LDAPResultSuccess, 2},
		"must change, but wrong":     {"dave", "second-day", ldap.LDAPResultInvalidCredentials, -1},
		"locked":                     {"erin", "too-often", ldap.LDAPResultInvalidCredentials, 1},
		"nothing to say of a person": {"alice", "wonderland", ldap.LDAPResultSuccess, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := ldap.NewSimpleBindRequest("uid="+test.login+",ou=people,"+baseDN, test.password,
				[]ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
			result, err := w.dial(t).SimpleBind(request)
			if got := code(err); got != test.code {
				t.Errorf("code %d, want %d", got, test.code)
			}
			fault := int8(-1)
			if result != nil {
				if control, ok := ldap.FindControl(result.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy); ok {
					fault = control.Error
				}
			}
			if fault != test.fault {
				t.Errorf("policy says %d, want %d", fault, test.fault)
			}
		})
	}
}

func TestWritesAndUnknownControlsAreRefused(t *testing.T) {
	t.Parallel()
	connection := start(t).service(t)
	modify := ldap.NewModifyRequest(aliceDN, nil)
	modify.Replace("mail", []string{"mallory@example.localhost"})
	if got := code(connection.Modify(modify)); got != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("modify: code %d", got)
	}
	if got := code(connection.Del(ldap.NewDelRequest(aliceDN, nil))); got != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("delete: code %d", got)
	}
	request := search(baseDN, ldap.ScopeWholeSubtree, "(uid=alice)")
	request.Controls = []ldap.Control{ldap.NewControlString("1.3.6.1.4.1.99999.1", true, "")}
	if _, err := connection.Search(request); code(err) != ldap.LDAPResultUnavailableCriticalExtension {
		t.Errorf("an unknown critical control: %v", err)
	}
}

func TestClearTextIsNotServed(t *testing.T) {
	t.Parallel()
	w := start(t)
	connection, err := ldap.DialURL(strings.Replace(w.server.URL(), "ldaps:", "ldap:", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.Bind(aliceDN, "wonderland"); err == nil {
		t.Error("a password was taken in clear text")
	}
}

func TestCloseEndsIdleConnections(t *testing.T) {
	t.Parallel()
	w := start(t)
	connection := w.service(t)
	if err := w.server.Close(); err == nil {
		if _, err := connection.Search(search(baseDN, ldap.ScopeBaseObject, "(objectClass=*)")); err == nil {
			t.Error("the connection still answers")
		}
	} else {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(w.server.URL(), "ldaps://")); err == nil {
		_ = c.Close()
		t.Error("the port still answers")
	}
}

func TestStartRefusesNonsense(t *testing.T) {
	t.Parallel()
	twice := []directory.Person{{Login: "alice", Password: "a"}, {Login: "ALICE", Password: "b"}}
	for name, config := range map[string]directory.Config{
		"no base":                   {BindPassword: "x"},
		"base is no DN":             {BindPassword: "x", BaseDN: "example"},
		"no service password":       {BaseDN: baseDN},
		"person without a password": {BindPassword: "x", BaseDN: baseDN, People: []directory.Person{{Login: "alice"}}},
		"one person twice":          {BindPassword: "x", BaseDN: baseDN, People: twice},
	} {
		config.Now = time.Now
		if server, err := directory.Start(context.Background(), config); err == nil {
			t.Errorf("%s: started", name)
			_ = server.Close()
		}
	}
}
