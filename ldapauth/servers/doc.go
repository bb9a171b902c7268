// Package servers asks one of several LDAP servers with the same content: pooled
// connections, TLS, failover, and hints for the operator. It knows operations, no people.
package servers
