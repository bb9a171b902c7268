// Package directory has the steps that look into one LDAP directory: its servers, the service account, people and
// their addresses, and one person. It is behind `persona directory` and a part of `persona check`.
package directory
