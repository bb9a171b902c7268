package ldapauth

// Schema says where a directory keeps what we need to know about people.
// Attribute names are case-insensitive.
type Schema struct {
	// UserFilter selects the people who may sign in (RFC 4515), for example
	// (objectClass=inetOrgPerson).
	UserFilter string
	// LoginAttributes are those that the typed name is compared with.
	LoginAttributes []string
	// AddressAttributes hold a person's e-mail addresses, the primary one
	// first. Only attributes that people cannot write themselves belong here.
	// Values of proxyAddresses count only with the prefix "smtp:".
	AddressAttributes []string
	// IDAttribute holds an id that is never reused and survives a rename.
	IDAttribute string
}

// OpenLDAP is the preset for OpenLDAP with inetOrgPerson entries.
func OpenLDAP() Schema {
	return Schema{
		UserFilter:        "(objectClass=inetOrgPerson)",
		LoginAttributes:   []string{"uid", "mail"},
		AddressAttributes: []string{"mail", "mailLocalAddress", "mailAlternateAddress", "gosaMailAlternateAddress", "zimbraMailAlias"},
		IDAttribute:       "entryUUID",
	}
}
