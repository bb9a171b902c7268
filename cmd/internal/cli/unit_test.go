package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unitPath is where the unit lies that operators install.
const unitPath = "../../../deploy/persona.service"

// TestUnit asks systemd whether it understands the unit, and how far it shuts the program in: an
// exposure of 2.0 at most.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := systemdAnalyze(t)
	unit := installedUnit(t)
	if out, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestUnitSays checks what systemd cannot know: that a wrong configuration, exit code 2, is not tried
// again, and that the folder it makes and the secret it hands over are where the example looks.
func TestUnitSays(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile(unitPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"RestartPreventExitStatus=2", "Restart=on-failure", "StateDirectory=persona", "StateDirectoryMode=0700",
		"AmbientCapabilities=CAP_NET_BIND_SERVICE", "LoadCredential=ldap_password:/etc/persona/ldap_password",
	} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
	example, err := os.ReadFile("../../../deploy/persona.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"\nstate_dir: /var/lib/persona\n", "bind_password_file: /run/credentials/persona.service/ldap_password\n",
	} {
		if !strings.Contains(string(example), line) {
			t.Errorf("the example does not say %s", line)
		}
	}
}

// installedUnit writes the unit as if the program were installed: verify wants to see it.
func installedUnit(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(unitPath)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "persona")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	installed := strings.Replace(string(text), "ExecStart=/usr/local/bin/persona ", "ExecStart="+program+" ", 1)
	if installed == string(text) {
		t.Fatal("the unit starts another program")
	}
	path := filepath.Join(folder, "persona.service")
	if err := os.WriteFile(path, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func systemdAnalyze(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err == nil {
		return path
	}
	const reason = "systemd-analyze is not installed (apt-get install systemd)"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}
