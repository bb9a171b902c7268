package catalogue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"persona-sidecar/idp/oidc/catalogue"
)

// read parses a text in its syntax: by the program that reads it where it is installed, by the rules
// of its lines otherwise.
func read(t *testing.T, step catalogue.Step) error {
	t.Helper()
	switch step.Format {
	case catalogue.INI:
		return lines(step.Text, `\[[a-z0-9_.]+\]`, `[A-Za-z0-9_]+ = \S.*`)
	case catalogue.Env:
		for line := range strings.Lines(step.Text) {
			_, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if strings.HasPrefix(value, "{") && !json.Valid([]byte(value)) {
				return fmt.Errorf("not JSON: %s", value)
			}
		}
		return lines(step.Text, `[A-Z0-9_]+=\S.*`)
	case catalogue.Form:
		return lines(step.Text, `[A-Z][^:]*: \S.*`)
	case catalogue.TOML: // of strings, truth values and lists on a line each, which JSON writes alike
		for line := range strings.Lines(step.Text) {
			if _, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && !json.Valid([]byte(value)) {
				return fmt.Errorf("not TOML: %s", line)
			}
		}
		return lines(step.Text, `[a-z_]+ = .+`)
	case catalogue.YAML:
		decoder := yaml.NewDecoder(strings.NewReader(step.Text))
		var content map[string]any
		if err := decoder.Decode(&content); err != nil {
			return err
		}
		return nested(content)
	case catalogue.Apache:
		open := []string{}
		for line := range strings.Lines(step.Text) {
			line = strings.TrimSpace(line)
			if name, ok := strings.CutPrefix(line, "</"); ok {
				if len(open) == 0 || open[len(open)-1]+">" != name {
					return fmt.Errorf("%s closes nothing", line)
				}
				open = open[:len(open)-1]
			} else if name, ok := strings.CutPrefix(line, "<"); ok {
				open = append(open, strings.Fields(name)[0])
			}
		}
		if len(open) > 0 {
			return fmt.Errorf("%q are open", open)
		}
		return lines(step.Text, `\s*</?[A-Z]\w+( "?/\S*)?>`, `\s*[A-Z]\w+( [^\s"]+| "[^"]*")+`)
	case catalogue.Shell:
		return program(t, step.Text, "sh", "-n")
	case catalogue.PHP:
		return errors.Join(balanced(step.Text), program(t, "<?php\n"+step.Text, "php", "-l"))
	case catalogue.JS:
		return errors.Join(balanced(step.Text), program(t, "module.exports = {\n"+step.Text+"\n}\n", "node", "--check", "-"))
	case catalogue.Ruby:
		return balanced(step.Text)
	}
	return fmt.Errorf("no test reads %q", step.Format)
}

// lines requires each line to be empty, a comment or one of the forms.
func lines(text string, forms ...string) error {
	form := regexp.MustCompile(`^(|[#;].*|` + strings.Join(forms, "|") + `)$`)
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); !form.MatchString(line) {
			return fmt.Errorf("what is the line %q", line)
		}
	}
	return nil
}

// nested reads the texts inside a document that are documents themselves, such as Argo CD's.
func nested(content map[string]any) error {
	for key, value := range content {
		switch value := value.(type) {
		case map[string]any:
			if err := nested(value); err != nil {
				return err
			}
		case string:
			var inner map[string]any
			if strings.HasSuffix(key, ".config") {
				if err := yaml.Unmarshal([]byte(value), &inner); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
			}
		case nil:
			return fmt.Errorf("%s is empty", key)
		}
	}
	return nil
}

// balanced requires brackets and quotes to be closed in order. Quotes in texts are not escaped anywhere.
func balanced(text string) error {
	var open []rune
	var quote rune
	closes := map[rune]rune{')': '(', ']': '[', '}': '{'}
	for _, r := range text {
		switch {
		case quote != 0:
			if r == '\n' {
				return errors.New("a quote is open at the end of its line")
			}
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case strings.ContainsRune("([{", r):
			open = append(open, r)
		case closes[r] != 0:
			if len(open) == 0 || open[len(open)-1] != closes[r] {
				return fmt.Errorf("a stray %c", r)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || quote != 0 {
		return fmt.Errorf("%q and %q are open", string(open), string(quote))
	}
	return nil
}

// program lets the real reader look at a text. Where it is not installed, the text passes, but not in CI.
func program(t *testing.T, text, name string, args ...string) error {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			return err
		}
		t.Logf("%s is not installed", name)
		return nil
	}
	command := exec.CommandContext(t.Context(), name, args...)
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}

// TestReaders shows that each syntax's reader refuses what is none.
func TestReaders(t *testing.T) {
	t.Parallel()
	for _, step := range []catalogue.Step{
		{Format: catalogue.INI, Text: "[a\nb = c\n"},
		{Format: catalogue.INI, Text: "b =\n"},
		{Format: catalogue.Env, Text: "A B=c\n"},
		{Format: catalogue.Env, Text: "A={\"b\":c}\n"},
		{Format: catalogue.Form, Text: "Client ID:\n"},
		{Format: catalogue.TOML, Text: "a = b\n"},
		{Format: catalogue.TOML, Text: "a = [\"b\"\n"},
		{Format: catalogue.YAML, Text: "a:\n b: c\n  d: e\n"},
		{Format: catalogue.YAML, Text: "a:\n  b:\n"},
		{Format: catalogue.YAML, Text: "data:\n  x.config: |\n    a: \"b\n"},
		{Format: catalogue.Apache, Text: "OIDCScope \"openid\n"},
		{Format: catalogue.Apache, Text: "<Location />\nRequire valid-user\n"},
		{Format: catalogue.Apache, Text: "</Location>\n"},
		{Format: catalogue.Shell, Text: "a 'b\n"},
		{Format: catalogue.PHP, Text: "$a = [ 'b';\n"},
		{Format: catalogue.JS, Text: "a: { b: \"c }\n"},
		{Format: catalogue.Ruby, Text: "a = ['b'}\n"},
		{Format: "xml", Text: "<a/>"},
	} {
		if err := read(t, step); err == nil {
			t.Errorf("%s: %q is taken", step.Format, step.Text)
		}
	}
}
