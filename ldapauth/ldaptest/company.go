package ldaptest

const (
	// BaseDN is the sample company's suffix.
	BaseDN = "dc=example,dc=test"
	// Password is the password of every sample person.
	Password = "correct horse battery staple"
)

// Company is the LDIF of the sample company.
func Company() string { return "" }
