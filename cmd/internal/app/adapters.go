package app

import (
	"context"

	"persona-sidecar/idp"
	"persona-sidecar/idp/keys"
	"persona-sidecar/ldapauth"
)

// directory lets idp use an ldapauth.Directory: the two rooms know nothing of each other.
type directory struct{ ldap *ldapauth.Directory }

func (d directory) Authenticate(ctx context.Context, login, password string) (idp.Result, error) {
	result, err := d.ldap.Authenticate(ctx, login, password)
	return idpResult(result), err
}

func (d directory) Lookup(ctx context.Context, id string) (idp.Result, error) {
	result, err := d.ldap.Lookup(ctx, id)
	return idpResult(result), err
}

func idpResult(from ldapauth.Result) idp.Result {
	return idp.Result{
		Status:  idpStatus(from.Status),
		MayTell: from.MayTell,
		Person: idp.Person{
			Directory:       from.Person.Directory,
			ID:              from.Person.ID,
			Login:           from.Person.Login,
			DisplayName:     from.Person.DisplayName,
			GivenName:       from.Person.GivenName,
			FamilyName:      from.Person.FamilyName,
			Groups:          from.Person.Groups,
			PasswordChanged: from.Person.PasswordChanged,
			Addresses:       from.Person.Addresses,
		},
	}
}

// idpStatus gives the zero status, which admits nobody, for one that it does not know.
func idpStatus(from ldapauth.Status) idp.Status {
	switch from {
	case ldapauth.OK:
		return idp.OK
	case ldapauth.Refused:
		return idp.Refused
	case ldapauth.Gone:
		return idp.Gone
	case ldapauth.NotAllowed:
		return idp.NotAllowed
	case ldapauth.MustChange:
		return idp.MustChange
	case ldapauth.Expired:
		return idp.Expired
	case ldapauth.Locked:
		return idp.Locked
	case ldapauth.Throttled:
		return idp.Throttled
	}
	return 0
}

// accountGate asks the throttle between finding an entry and trying its password.
func accountGate(throttle *idp.Throttle, directory string) func(context.Context, string) bool {
	return func(ctx context.Context, id string) bool { return throttle.AdmitAccount(ctx, directory, id) }
}

// sessionSealer lends session the one key of the ring that is for cookies.
type sessionSealer struct{ ring *keys.Ring }

func (s sessionSealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sessionSealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}
