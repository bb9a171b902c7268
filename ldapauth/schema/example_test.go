package schema_test

import (
	"fmt"

	"persona-sidecar/ldapauth/schema"
)

// A preset says where a kind of directory keeps what is needed; a configuration
// changes single parts of it.
func ExampleSchema_Override() {
	preset, err := schema.Preset("openldap")
	if err != nil {
		fmt.Println(err)
		return
	}
	changed := preset.Override(schema.Schema{LoginAttributes: []string{"uid"}})
	fmt.Println(changed.UserFilter, changed.LoginAttributes, changed.ID.Attribute)
	// Output:
	// (objectClass=inetOrgPerson) [uid] entryUUID
}
