package assertion_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"persona-sidecar/idp/gate/assertion"
)

// signedIn returns the claims of an assertion. keys is what is published at
// https://id.example.com/persona/assertion/jwks.json.
func signedIn(assertion string, keys jose.JSONWebKeySet, now time.Time) (claims jwt.Claims, err error) {
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims, err
	}
	header := token.Headers[0]
	if header.ExtraHeaders[jose.HeaderType] != "persona-site+jwt" {
		return claims, errors.New("not an assertion of persona")
	}
	key := keys.Key(header.KeyID)
	if len(key) != 1 {
		return claims, errors.New("unknown key")
	}
	if err := token.Claims(key[0], &claims); err != nil {
		return claims, err
	}
	return claims, claims.ValidateWithLeeway(jwt.Expected{
		Issuer: "https://id.example.com", AnyAudience: jwt.Audience{"https://example.com"}, Time: now,
	}, 0)
}

// sample returns the code of a language in docs/identity-headers.md.
func sample(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "identity-headers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(page), "\n```"+language+"\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatalf("the page has no sample in %s", language)
	}
	return code
}

// TestDocumentedGo: the sample is the function that the tests of this package verify with.
func TestDocumentedGo(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("documented_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), sample(t, "go")) {
		t.Error("docs/identity-headers.md has another function than documented_test.go")
	}
}

// TestDocumentedSamples runs the other samples. They tell anna from every forgery.
func TestDocumentedSamples(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		language, interpreter, needs, before, after string
	}{
		{"python", "/usr/bin/python3", "import jwt, cryptography", "", `
import sys
for name, token in (line.rstrip("\n").split("\t") for line in sys.stdin):
    print(name, (signed_in(token) or {}).get("sub", "no one"), sep="\t")
`},
		{"php", "php", "exit(function_exists('openssl_verify') ? 0 : 1);", "<?php\n", `
while ($line = fgets(STDIN)) {
    [$name, $token] = explode("\t", rtrim($line, "\n"));
    echo "$name\t", signed_in($token, $argv[1])['sub'] ?? 'no one', "\n";
}
`},
	} {
		t.Run(test.language, func(t *testing.T) {
			t.Parallel()
			option := map[string]string{"python": "-c", "php": "-r"}[test.language]
			if out, err := exec.CommandContext(t.Context(), test.interpreter, option, test.needs).CombinedOutput(); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%v: %s", err, out)
				}
				t.Skipf("%s cannot run it: %v", test.interpreter, err)
			}
			w := newWorldAt(t, time.Now())
			published := w.jwks(host).Body.Bytes()
			server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write(published) }))
			defer server.Close()
			folder := t.TempDir()
			code, copied := filepath.Join(folder, "sample"), filepath.Join(folder, "jwks.json")
			text := test.before + strings.ReplaceAll(sample(t, test.language), "https://"+host+assertion.PathKeys, server.URL) + test.after
			if err := errors.Join(os.WriteFile(code, []byte(text), 0o600), os.WriteFile(copied, published, 0o600)); err != nil {
				t.Fatal(err)
			}
			want := []string{"anna\tcorp:7f1c"}
			input := "anna\t" + w.sign(anna()) + "\n"
			for name, token := range w.forgeries() {
				want = append(want, name+"\tno one")
				input += fmt.Sprintf("%s\t%s\n", name, token)
			}
			command := exec.CommandContext(t.Context(), test.interpreter, code, copied)
			command.Stdin = strings.NewReader(input)
			out, err := command.CombinedOutput()
			got := strings.Split(strings.TrimSpace(string(out)), "\n")
			slices.Sort(want)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, got\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
