package cli_test

import (
	"strings"
	"testing"

	"persona-sidecar/ldapauth/ldaptest"
)

// TestCheckAsksForThePassword: at a terminal the password is asked for once the own identity host has
// been found, and is not shown while it is typed.
func TestCheckAsksForThePassword(t *testing.T) {
	t.Parallel()
	c := startChecked(t)
	term := atTerminal(t, c.folder, "check", "-config", "persona.yaml", "-resolve", c.https, "-ca-file", "ca.pem", "alice@example.test")
	term.until(t, "the question", func() bool { return strings.Contains(term.seen(), "Password of alice@example.test: ") })
	term.until(t, "the terminal to hide", func() bool { return !term.shows(t) })
	term.typeIn(t, ldaptest.Password+"\n")
	code := term.exitCode(t)
	if out := term.stdout.String(); code != 0 || !strings.Contains(out, "✓ sign-in ") || !strings.Contains(out, `"email": "alice@example.test"`) {
		t.Errorf("it exited with %d and printed\n%s", code, out)
	}
	if strings.Contains(term.seen()+term.stdout.String(), ldaptest.Password) {
		t.Error("the password is shown")
	}
}

// TestCheckStoppedAtThePassword: stopping instead of typing restores the terminal and prints
// no findings.
func TestCheckStoppedAtThePassword(t *testing.T) {
	t.Parallel()
	c := startChecked(t)
	for name, key := range map[string]string{"Ctrl-C": "\x03", "Ctrl-D": "\x04"} {
		term := atTerminal(t, c.folder, "check", "-config", "persona.yaml", "-resolve", c.https, "-ca-file", "ca.pem", "alice@example.test")
		term.until(t, "the question", func() bool {
			return strings.Contains(term.seen(), "Password of alice@example.test: ") && !term.shows(t)
		})
		term.typeIn(t, key)
		code := term.exitCode(t)
		term.until(t, "the reason", func() bool { return strings.Contains(term.seen(), "persona: stopped before all was checked") })
		if code != 1 || !term.shows(t) || strings.Contains(term.stdout.String(), "sign-in  ") {
			t.Errorf("%s: it exited with %d and printed\n%s", name, code, term.stdout.String())
		}
	}
}
