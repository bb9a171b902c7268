package cli

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
)

// examples returns the indented blocks of the text that tells what is missing.
func examples(t *testing.T) (file string, environ []string) {
	t.Helper()
	for line := range strings.Lines(whatIsMissing) {
		text, indented := strings.CutPrefix(line, "    ")
		switch {
		case !indented:
		case strings.HasPrefix(text, "PERSONA_"):
			environ = append(environ, strings.TrimSpace(text))
		default:
			file += text
		}
	}
	if file == "" || len(environ) == 0 {
		t.Fatal("the text has no examples")
	}
	return file, environ
}

func TestExamplesOfWhatIsMissing(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "ldap")
	apptest.Write(t, secret, "x\n")
	file, environ := examples(t)
	path := filepath.Join(t.TempDir(), "persona.yaml")
	apptest.Write(t, path, strings.ReplaceAll(file, "/run/secrets/ldap", secret))
	byFile, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range environ {
		environ[i] = strings.ReplaceAll(environ[i], "/run/secrets/ldap", secret)
	}
	byEnvironment, err := config.Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	corp, ldap := byFile.Directories["corp"], byEnvironment.Directories[config.EnvironmentDirectory]
	if got, want := fmt.Sprint(ldap), fmt.Sprint(corp); got != want {
		t.Errorf("the examples differ: %s and %s", got, want)
	}
	if lines := strings.Count(whatIsMissing, "\n"); lines > 36 {
		t.Errorf("%d lines do not fit on one screen", lines)
	}
}

func TestVersionOfBuild(t *testing.T) {
	t.Parallel()
	const hash = "0123456789abcdef0123456789abcdef01234567"
	revision := debug.BuildSetting{Key: "vcs.revision", Value: hash}
	for _, test := range []struct {
		info              debug.BuildInfo
		version, revision string // stamped
		want              string
	}{
		{debug.BuildInfo{}, "", "", "(devel)"},
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{revision}}, "", "", "v1.2.3"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision}}, "", "", "(devel) 0123456789ab"},
		{debug.BuildInfo{Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}}, "", "", "(devel) 0123456789ab+changes"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "v1.2.3", hash, "v1.2.3 0123456789ab"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "", hash, "(devel) 0123456789ab"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "dev", "unknown", "dev"},
	} {
		if got := describe(&test.info, test.version, test.revision); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "127.0.0.1": "127.0.0.1", "192.0.2.1": "192.0.2.1", "localhost": "localhost"} {
		if got := reachable(host); got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
	}
}
