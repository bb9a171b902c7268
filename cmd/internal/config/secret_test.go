package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/strict"
)

func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	const text = "hunter2"
	secret := strict.NewSecret(text)
	if secret.Reveal() != text {
		t.Fatalf("Reveal: got %q", secret.Reveal())
	}
	type holder struct {
		Shown  config.Secret
		inside config.Secret
	}
	held := holder{secret, secret}
	printed := map[string]string{"String": secret.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%t"} {
		printed[verb] = fmt.Sprintf(verb, secret)
		printed["pointer "+verb] = fmt.Sprintf(verb, &secret)
		printed["held "+verb] = fmt.Sprintf(verb, held)
		printed["list "+verb] = fmt.Sprintf(verb, []config.Secret{secret})
	}
	printed["error"] = fmt.Errorf("signing in with %v: %w", secret, errors.ErrUnsupported).Error()
	printed["JSON"] = marshalled(t, json.Marshal, held)
	printed["YAML"] = marshalled(t, yaml.Marshal, held)
	text2, err := secret.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	printed["text"] = string(text2)
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Interface("held", held).Any("secret", secret).Stringer("s", secret).Send()
	printed["log"] = log.String()

	for how, got := range printed {
		if strings.Contains(got, text) || strings.Contains(got, fmt.Sprintf("%x", text)) || strings.Contains(got, fmt.Sprintf("%X", text)) {
			t.Errorf("%s shows the secret: %s", how, got)
		}
		if !strings.Contains(got, "[hidden]") {
			t.Errorf("%s does not say [hidden]: %s", how, got)
		}
	}
}

func marshalled(t *testing.T, marshal func(any) ([]byte, error), v any) string {
	t.Helper()
	data, err := marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ content, want string }{
		{"word", "word"},
		{"word\n", "word"},
		{"word\r\n", "word"},
		{"word\n\n", "word\n"},
		{" word \n", " word "},
		{"word\r", "word\r"},
		{"two\nlines\n", "two\nlines"},
		{"\xff\x00binary", "\xff\x00binary"},
	} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "secret"), test.content)
		path := filepath.Join(folder, "persona.yaml")
		write(t, path, fileWithoutPassword+"    bind_password_file: secret\n")
		c, err := config.Load(path, nil)
		if err != nil {
			t.Errorf("%q: %v", test.content, err)
			continue
		}
		if got := c.Directories["corp"].BindPassword.Reveal(); got != test.want {
			t.Errorf("%q: got %q, want %q", test.content, got, test.want)
		}
		if want := []string{filepath.Join(folder, "secret")}; !slices.Equal(c.SecretFiles, want) {
			t.Errorf("secrets were read from %q, want %q", c.SecretFiles, want)
		}
	}
}

func TestSecretFileTooLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, strings.Repeat("a", 1<<20))
	_, err := config.Load("", whole("PERSONA_LDAP_BIND_PASSWORD=", "PERSONA_LDAP_BIND_PASSWORD_FILE="+path))
	want := fmt.Sprintf("environment: PERSONA_LDAP_BIND_PASSWORD_FILE: the file %s is larger than 64 KiB (give the path of the right file)", path)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
