package ldaptest

import (
	"crypto/tls"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// Add makes an entry as the root account.
func (s *Server) Add(req *ldap.AddRequest) {
	s.asRoot("adding "+req.DN, func(c *ldap.Conn) error { return c.Add(req) })
}

// Modify changes an entry as the root account.
func (s *Server) Modify(req *ldap.ModifyRequest) {
	s.asRoot("modifying "+req.DN, func(c *ldap.Conn) error { return c.Modify(req) })
}

// Rename moves an entry as the root account.
func (s *Server) Rename(req *ldap.ModifyDNRequest) {
	s.asRoot("renaming "+req.DN, func(c *ldap.Conn) error { return c.ModifyDN(req) })
}

// Delete removes an entry as the root account.
func (s *Server) Delete(dn string) {
	s.asRoot("deleting "+dn, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Replace sets an attribute of an entry; without values the attribute goes.
func (s *Server) Replace(dn, attribute string, values ...string) {
	req := ldap.NewModifyRequest(dn, nil)
	req.Replace(attribute, values)
	s.Modify(req)
}

// Attribute returns an attribute's values, operational ones included.
func (s *Server) Attribute(dn, attribute string) []string {
	var values []string
	s.asRoot("reading "+dn, func(c *ldap.Conn) error {
		res, err := c.Search(&ldap.SearchRequest{BaseDN: dn, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{attribute}})
		if err == nil && len(res.Entries) == 1 {
			values = res.Entries[0].GetEqualFoldAttributeValues(attribute)
		}
		return err
	})
	return values
}

// AddPerson makes a person with a password to keep and returns the DN.
func (s *Server) AddPerson(login, password string, addresses ...string) (dn string) {
	var e entry
	if s.Kind == SambaAD {
		e = adAccount(login, login, password, "512")
	} else {
		e = personWith(login, login, login, password)
	}
	if len(addresses) > 0 {
		e = e.with("mail", addresses...)
	}
	s.Add(e.addRequest())
	s.KeepPassword(e.dn)
	return e.dn
}

// KeepPassword lets a person keep the password that an administrator has set.
func (s *Server) KeepPassword(dn string) {
	switch s.Kind {
	case Slapd:
		s.Replace(dn, "pwdReset")
	case DS389:
		s.Replace(dn, "passwordExpirationTime", "20370101000000Z")
	}
}

// GroupDN returns the DN of a sample group.
func (s *Server) GroupDN(name string) string {
	if s.Kind == SambaAD {
		return "CN=" + ldap.EscapeDN(name) + "," + adPeople
	}
	return "cn=" + ldap.EscapeDN(name) + ",ou=groups," + BaseDN
}

// SetPassword gives a person a new password, as an administrator does.
func (s *Server) SetPassword(dn, password string) {
	if s.Kind == SambaAD {
		s.Replace(dn, "unicodePwd", quotedUTF16(password))
		return
	}
	s.Replace(dn, "userPassword", password)
}

// DN returns the DN of the entry with a login name.
func (s *Server) DN(login string) string {
	attribute := "uid"
	if s.Kind == SambaAD {
		attribute = "sAMAccountName"
	}
	var dn string
	s.asRoot("finding "+login, func(c *ldap.Conn) error {
		res, err := c.Search(&ldap.SearchRequest{
			BaseDN: s.BaseDN, Scope: ldap.ScopeWholeSubtree, Filter: "(" + attribute + "=" + ldap.EscapeFilter(login) + ")", Attributes: []string{"1.1"},
		})
		if err == nil && len(res.Entries) != 1 {
			err = fmt.Errorf("%d entries", len(res.Entries))
		}
		if err == nil {
			dn = res.Entries[0].DN
		}
		return err
	})
	return dn
}

// ChangePassword gives a person a new password, as they do it themselves.
func (s *Server) ChangePassword(dn, password, next string) {
	req := ldap.NewModifyRequest(dn, nil)
	if s.Kind == SambaAD {
		req.Delete("unicodePwd", []string{quotedUTF16(password)})
		req.Add("unicodePwd", []string{quotedUTF16(next)})
	} else {
		req.Replace("userPassword", []string{next})
	}
	conn, err := s.connect(dn, password)
	if err == nil {
		defer conn.Close()
		err = conn.Modify(req)
	}
	if err != nil {
		s.fatal(fmt.Errorf("changing the password of %s: %w", dn, err))
	}
}

// Guess tries wrong passwords until the server locks the account.
func (s *Server) Guess(dn string) {
	s.asRoot("guessing the password of "+dn, func(c *ldap.Conn) error {
		for range lockAfter {
			if err := c.Bind(dn, "wrong"); err == nil || ldap.IsErrorWithCode(err, ldap.ErrorNetwork) {
				return fmt.Errorf("a wrong password: %w", err)
			}
		}
		return nil
	})
}

func (s *Server) asRoot(what string, do func(*ldap.Conn) error) {
	conn, err := s.connect(s.rootDN, s.rootPassword)
	if err == nil {
		defer conn.Close()
		err = do(conn)
	}
	if err != nil {
		s.fatal(fmt.Errorf("%s: %w", what, err))
	}
}

func (s *Server) connect(dn, password string) (*ldap.Conn, error) {
	url := s.LDAPSURL()
	if s.noTLS {
		url = s.URL()
	}
	conn, err := ldap.DialURL(url, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}))
	if err != nil {
		return nil, err
	}
	if err := conn.Bind(dn, password); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
