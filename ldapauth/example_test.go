package ldapauth_test

import (
	"context"
	"errors"
	"fmt"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/schema"
)

// A sign-in has three ends: the person is in, the directory refuses, or the
// directory cannot answer. Only the last one is an error, and it has a hint for
// the operator.
func Example() {
	openldap, err := schema.Preset("openldap")
	if err != nil {
		fmt.Println(err)
		return
	}
	directory, err := ldapauth.New(ldapauth.Config{
		Name:         "corp",
		URLs:         []string{"ldaps://127.0.0.1:1"},
		BindDN:       "cn=persona,ou=services,dc=example,dc=com",
		BindPassword: "secret",
		BaseDNs:      []string{"dc=example,dc=com"},
		Schema:       openldap,
		Domains:      []string{"example.com"},
	})
	if err != nil {
		fmt.Println("configuration:", err)
		return
	}
	defer func() { _ = directory.Close() }()

	result, err := directory.Authenticate(context.Background(), "alice", "her password", nil)
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &hinted):
		fmt.Println("try again later:", hinted.Hint())
	case err != nil:
		fmt.Println("try again later:", err)
	case result.Status == identity.OK:
		fmt.Println(result.Person.Name, "may use", result.Person.Addresses)
	default:
		fmt.Println("refused")
	}
	// Output:
	// try again later: is the directory running, and is the port in urls right?
}
