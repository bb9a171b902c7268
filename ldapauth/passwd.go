package ldapauth

import (
	"context"
	"errors"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"
)

// ChangePassword implements [identity.PasswordChanger] by the extended operation of RFC 3062, as the person and with the old
// password. What lets no one sign in lets no one change a password, but for a password that must be changed.
func (d *Directory) ChangePassword(ctx context.Context, login, old, changed string, gate func(id string) bool) (identity.PasswordChange, error) {
	login = identity.CleanLogin(login)
	if !identity.ValidLogin(login) || !identity.ValidPassword(old) || !identity.ValidPassword(changed) {
		return identity.PasswordChange{Result: d.refusal(identity.Refused, "")}, nil
	}
	started := time.Now()
	change, err := d.changePassword(ctx, login, old, changed, gate)
	if err != nil {
		return change, d.failure(err)
	}
	if change.Outcome == identity.NotTried && !change.MayTell {
		d.minDelay.wait(ctx, started)
	}
	return change, nil
}

func (d *Directory) changePassword(ctx context.Context, login, old, changed string, gate func(id string) bool) (identity.PasswordChange, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	result := func(res identity.Result) identity.PasswordChange { return identity.PasswordChange{Result: res} }
	e, err := d.find(ctx, login)
	if err != nil || e.Entry == nil {
		return result(d.refusal(identity.Refused, "")), err
	}
	if gate != nil && !gate(e.id) {
		return result(d.refusal(identity.Throttled, e.id)), nil
	}
	var (
		account identity.Result // as the entry tells it
		lookErr error
		allowed bool
	)
	proceed := func(*ldap.ControlBeheraPasswordPolicy) bool {
		account, lookErr = d.read(ctx, e.id)
		switch account.Status {
		case identity.OK, identity.MustChange, identity.PasswordExpired:
			allowed = lookErr == nil
		default:
		}
		return allowed
	}
	try := func(old string) (v verdict, refused, err error) {
		began := time.Now()
		// A new password is sent in the form in which other programs send what is typed (RFC 4511 section 4.2).
		policy, refused, err := d.servers.ChangePassword(ctx, e.DN, servers.Secret(old), servers.Secret(norm.NFC.String(changed)), proceed)
		v, err = judge(policy, err)
		d.observe(OpBind, began, v.outcome(err))
		return v, refused, err
	}
	v, refused, err := try(old)
	if composed := norm.NFC.String(old); err == nil && v.status == identity.Refused && composed != old {
		if gate != nil && !gate(e.id) {
			return result(d.refusal(identity.Throttled, e.id)), nil
		}
		v, refused, err = try(composed)
	}
	switch {
	case err != nil || lookErr != nil:
		return result(d.refusal(identity.Refused, e.id)), errors.Join(err, lookErr)
	case !allowed && account.Status == 0: // the old password did not pass
		return result(d.rejected(e, v)), nil
	case !allowed:
		account.MayTell = true
		return result(account), nil
	}
	change := identity.PasswordChange{Result: d.refusal(v.status, e.id)}
	change.MayTell = true
	if refused != nil {
		d.describe(&change, refused, old, changed)
		return change, nil
	}
	change.Outcome = identity.Changed
	if change.Result, err = d.read(ctx, e.id); err != nil {
		d.log.Warn().Err(err).Str("id", e.id).Str("hint", identity.Hint(err)).Msg("a password is changed, but the person cannot be read after it")
		change.Result = d.refusal(0, e.id)
	}
	return change, nil
}

// describe tells why a new password was refused, and logs what the operator can do about it.
func (d *Directory) describe(change *identity.PasswordChange, refused error, old, changed string) {
	log, hint := d.log.Info(), ""
	answer := servers.Answer(refused)
	change.Outcome = identity.Unknown
	if answer != nil {
		change.Words = answer.Err.Error()
		switch answer.ResultCode {
		case ldap.LDAPResultConstraintViolation, ldap.LDAPResultInvalidAttributeSyntax:
			change.Outcome = identity.Rejected
		case ldap.LDAPResultInsufficientAccessRights:
			change.Outcome, hint = identity.Forbidden, "let people write their own userPassword"
		case ldap.LDAPResultInvalidCredentials: // the bind has just taken the old password
			change.Outcome = identity.Unwilling
		case ldap.LDAPResultProtocolError, ldap.LDAPResultUnavailableCriticalExtension:
			change.Outcome, hint = identity.Unsupported, unsupportedHint
		case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
			change.Outcome, hint = identity.Unwilling, "the directory wants encryption: use ldaps://, or set start_tls: true"
		default:
			change.Outcome = identity.Unwilling
		}
	}
	if hint != "" || answer == nil {
		log = d.log.Error()
	}
	// A server that quotes what it was sent would have it shown and logged.
	for _, secret := range []string{old, changed} {
		if strings.Contains(change.Words, secret) || strings.Contains(change.Words, norm.NFC.String(secret)) {
			change.Words = ""
		}
	}
	log = log.Str("id", change.Person.ID).Str("outcome", string(change.Outcome)).Str("reason", change.Words)
	if answer != nil {
		log = log.Uint16("code", answer.ResultCode)
	} else {
		log = log.Err(refused)
	}
	if hint != "" {
		log = log.Str("hint", hint)
	}
	log.Msg("a new password was not taken")
}

const unsupportedHint = "this directory does not know RFC 3062: remove password_change, or give it the url of a page where people change their password"

// CheckPasswordChange returns an error with a hint when the directory does not support the change of passwords (RFC 3062).
func (d *Directory) CheckPasswordChange(ctx context.Context) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	supported, err := d.servers.Supports(ctx, servers.PasswordModify)
	if err != nil {
		return d.failure(err)
	}
	if !supported {
		return d.failure(servers.WithHint(errors.New("the server does not offer the change of passwords, "+servers.PasswordModify), unsupportedHint))
	}
	return nil
}
