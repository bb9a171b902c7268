package ldapauth

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"persona-sidecar/idp/identity"

	"github.com/go-ldap/ldap/v3"
	"github.com/rs/zerolog"
)

// What servers may say of a new password, those that cannot be had here included.
func TestDescribe(t *testing.T) {
	t.Parallel()
	const old, changed = "old and secret", "u\u0308ber und geheim"
	refused := func(code uint16, words string) error { return ldap.NewError(code, errors.New(words)) }
	for name, c := range map[string]struct {
		err     error
		outcome identity.Outcome
		words   string
		log     string
	}{
		"rules":              {refused(19, "too short"), identity.Rejected, "too short", `"level":"info"`},
		"quotes the new one": {refused(19, "'u\u0308ber und geheim' is too short"), identity.Rejected, "", `"code":19`},
		"quotes it composed": {refused(19, "\u00fcber und geheim is too short"), identity.Rejected, "", `"code":19`},
		"quotes the old one": {refused(53, "old and secret is not right"), identity.Unwilling, "", `"code":53`},
		"no right":           {refused(50, ""), identity.Forbidden, "", `"hint":"let people write`},
		"old one wrong":      {refused(49, "no"), identity.Unwilling, "no", `"code":49`},
		"unknown operation":  {refused(2, "unsupported extended operation"), identity.Unsupported, "unsupported extended operation", "remove password_change"},
		"no TLS":             {refused(13, ""), identity.Unwilling, "", `"hint":"the directory wants encryption`},
		"busy":               {refused(51, ""), identity.Unknown, "", `"level":"error"`},
		"gone":               {io.ErrUnexpectedEOF, identity.Unknown, "", "unexpected EOF"},
	} {
		var log bytes.Buffer
		d := &Directory{log: zerolog.New(&log)}
		var change identity.PasswordChange
		d.describe(&change, c.err, old, changed)
		if change.Outcome != c.outcome || change.Words != c.words || !strings.Contains(log.String(), c.log) {
			t.Errorf("%s: %q, %q, logged %s", name, change.Outcome, change.Words, log.String())
		}
		if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "geheim") {
			t.Errorf("%s: the log tells a password: %s", name, log.String())
		}
	}
}
