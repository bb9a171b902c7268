package catalogue

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed presets/*.yaml
var files embed.FS

// Preset is what is known about one kind of app. Its texts are templates of text/template with the
// delimiters << and >>; paste.go says what they may name.
type Preset struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title"` // as its makers write it, such as Paperless-ngx
	// Sources are where the facts are from, with versions; Unchecked are the facts that no source
	// shows; Tried is the real software that the preset was run with, "" for one that was written by
	// documentation alone.
	Sources   []string `yaml:"sources"`
	Unchecked []string `yaml:"unchecked"`
	Tried     string   `yaml:"tried"`

	// RedirectURIs are all that the app may send, the usual one first.
	RedirectURIs           []string `yaml:"redirect_uris"`
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris"`
	BackchannelLogoutURI   string   `yaml:"backchannel_logout_uri"` // "": the app takes no logout tokens
	TokenAuth              string   `yaml:"token_auth"`             // client_secret_basic or client_secret_post
	PKCE                   string   `yaml:"pkce"`                   // required; optional where the app, or older versions of it, have none
	Scopes                 []string `yaml:"scopes"`
	// Claims gives claims other names, by their own.
	Claims map[string]string `yaml:"claims"`
	// IDTokenClaims says that the app reads the claims from the ID token and does not ask userinfo.
	IDTokenClaims bool `yaml:"id_token_claims"`

	Steps []Step `yaml:"paste"`
	// Remarks are sentences for the administrator of the app.
	Remarks []string `yaml:"remarks"`
}

// Step is one text that belongs into one place of an app.
type Step struct {
	Where  string `yaml:"where"` // such as "In grafana.ini"
	Format Format `yaml:"format"`
	Text   string `yaml:"text"`
}

// Format is the syntax of a step's text.
type Format string

// The formats of texts.
const (
	INI    Format = "ini"
	YAML   Format = "yaml"
	TOML   Format = "toml"
	Env    Format = "env"    // NAME=value, a line each, as Docker and systemd read it
	Shell  Format = "shell"  // commands
	PHP    Format = "php"    // statements, without the opening tag
	JS     Format = "js"     // members of an object
	Ruby   Format = "ruby"   // statements
	Apache Format = "apache" // directives
	Form   Format = "form"   // "label: value", a line each, for a page with fields
)

// Names are the names of all presets, sorted.
func Names() []string {
	entries, err := files.ReadDir("presets")
	if err != nil {
		panic(err) // they are in the program
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Find returns the preset called name.
func Find(name string) (*Preset, error) {
	content, err := files.ReadFile(path.Join("presets", name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("no preset is called %q; there are %s", name, strings.Join(Names(), ", "))
	}
	p, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("preset %s: %w", name, err)
	}
	return p, nil
}

// parse reads one file. A key that a Preset does not have is an error.
func parse(content []byte) (*Preset, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	var p Preset
	if err := decoder.Decode(&p); err != nil {
		return nil, err
	}
	var faults []error
	fault := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(p.Name == "" || p.Title == "", "it has no name or no title")
	fault(len(p.Sources) == 0, "no source is named")
	fault(len(p.RedirectURIs) == 0, "no redirect URI is listed")
	fault(!slices.Contains([]string{"client_secret_basic", "client_secret_post"}, p.TokenAuth), "token_auth: %q is unknown", p.TokenAuth)
	fault(!slices.Contains([]string{"required", "optional"}, p.PKCE), "pkce: %q is neither required nor optional", p.PKCE)
	fault(!slices.Contains(p.Scopes, "openid"), "the scope openid is missing")
	fault(len(p.Steps) == 0, "there is nothing to paste")
	for _, step := range p.Steps {
		fault(step.Where == "" || step.Text == "", "a step has no place or no text")
		fault(!slices.Contains([]Format{INI, YAML, TOML, Env, Shell, PHP, JS, Ruby, Apache, Form}, step.Format), "the format %q is unknown", step.Format)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &p, nil
}
