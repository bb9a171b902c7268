package servers

import (
	"errors"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for _, code := range []uint16{51, 52, 80, 81, 85, 91, 200} {
		if !unavailable(ldap.NewError(code, errors.New("x"))) {
			t.Errorf("%d is no reason to ask another server", code)
		}
	}
	for _, code := range []uint16{1, 4, 10, 13, 32, 49, 50, 53} {
		if unavailable(ldap.NewError(code, errors.New("x"))) {
			t.Errorf("%d is a reason to ask another server", code)
		}
	}
}
