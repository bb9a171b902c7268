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

func (s *Server) asRoot(what string, do func(*ldap.Conn) error) {
	url := s.LDAPSURL()
	if s.opts.NoTLS {
		url = s.URL()
	}
	conn, err := ldap.DialURL(url, ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}))
	if err != nil {
		s.fatal(fmt.Errorf("%s: %w", what, err))
		return
	}
	defer conn.Close()
	if err := conn.Bind(rootDN, rootPassword); err != nil {
		s.fatal(fmt.Errorf("%s: %w", what, err))
		return
	}
	if err := do(conn); err != nil {
		s.fatal(fmt.Errorf("%s: %w", what, err))
	}
}
