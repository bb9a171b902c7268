//go:build !unix

package servers

// alive cannot tell here whether the server has closed the connection: its next use does.
func (c *conn) alive() bool { return !c.ldap.IsClosing() }
