package catalogue

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// App is one app of a company.
type App struct {
	ID  string // its client id
	URL string // where people open it: https://grafana.example.com, with a path where it has one
	// SecretIn is where its secret is, such as /etc/persona/grafana.secret. Secret is the secret
	// itself, "" unless the administrator has asked to see it.
	SecretIn, Secret string
}

// Provider is who signs people in. The endpoints are those of its discovery document.
type Provider struct {
	Name                                       string // what the app's button says, such as Example AG
	Issuer                                     string
	Authorization, Token, Userinfo, EndSession string
}

// Client is what a provider has to know of an app, with the app's own address in it. The fields
// are those of Preset.
type Client struct {
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string
	TokenAuth              string
	PKCEOptional           bool
	Scopes                 []string
	Claims                 map[string]string
	IDTokenClaims          bool
}

// placeholder stands in texts where the secret belongs.
const placeholder = "THE-SECRET"

// facts are what a template may name. All are of characters that mean nothing in any Format.
type facts struct {
	ID     string
	URL    string // of the app, without a final slash
	Origin string // of the app: scheme, host and port
	Host   string // of the app, with its port
	Path   string // of the app, at least "/", without a final slash otherwise

	// What follows is empty in templates of addresses.
	RedirectURI, PostLogoutRedirectURI         string // the first of each
	Scopes                                     []string
	Secret                                     string
	Label                                      string // the provider's name
	Issuer, Discovery                          string
	Authorization, Token, Userinfo, EndSession string
	ProviderHost                               string // of the issuer, with its port
}

// Fill returns what a provider has to know of an app of this kind.
func (p *Preset) Fill(a App) (Client, error) {
	f, err := a.facts()
	if err != nil {
		return Client{}, err
	}
	c := Client{TokenAuth: p.TokenAuth, PKCEOptional: p.PKCE == "optional", Scopes: p.Scopes, Claims: maps.Clone(p.Claims), IDTokenClaims: p.IDTokenClaims}
	for _, list := range []struct {
		to   *[]string
		from []string
	}{
		{&c.RedirectURIs, p.RedirectURIs},
		{&c.PostLogoutRedirectURIs, p.PostLogoutRedirectURIs},
	} {
		for _, text := range list.from {
			uri, err := execute(text, f)
			if err != nil {
				return Client{}, fmt.Errorf("preset %s: %w", p.Name, err)
			}
			*list.to = append(*list.to, uri)
		}
	}
	if c.BackchannelLogoutURI, err = execute(p.BackchannelLogoutURI, f); err != nil {
		return Client{}, fmt.Errorf("preset %s: %w", p.Name, err)
	}
	return c, nil
}

// Guide is what the administrator of an app reads.
type Guide struct {
	Steps   []Step
	Remarks []string
	// SecretIn is where the secret is for which the placeholder stands; "" where the texts have it.
	SecretIn string
}

// Guide returns what to do in an app of this kind. A secret that some Format would interpret is an error.
func (p *Preset) Guide(a App, at Provider) (Guide, error) {
	client, err := p.Fill(a)
	if err != nil {
		return Guide{}, err
	}
	f, err := a.facts()
	if err != nil {
		return Guide{}, err
	}
	for _, address := range []string{at.Issuer, at.Authorization, at.Token, at.Userinfo, at.EndSession} {
		if err := checkURL(address); err != nil {
			return Guide{}, fmt.Errorf("the provider: %w", err)
		}
	}
	issuer, err := url.Parse(at.Issuer)
	if err != nil {
		return Guide{}, fmt.Errorf("the provider: %w", err)
	}
	f.Issuer, f.Discovery = at.Issuer, at.Issuer+"/.well-known/openid-configuration" // OpenID Connect Discovery 1.0, section 4
	f.Authorization, f.Token, f.Userinfo, f.EndSession = at.Authorization, at.Token, at.Userinfo, at.EndSession
	f.ProviderHost = issuer.Host
	f.Label = label(at.Name, issuer.Host)
	f.Scopes = client.Scopes
	f.RedirectURI = client.RedirectURIs[0]
	if len(client.PostLogoutRedirectURIs) > 0 {
		f.PostLogoutRedirectURI = client.PostLogoutRedirectURIs[0]
	}
	g := Guide{Steps: slices.Clone(p.Steps), Remarks: slices.Clone(p.Remarks)}
	if a.Secret == "" {
		f.Secret, g.SecretIn = placeholder, a.SecretIn
	} else if f.Secret = a.Secret; !plain.MatchString(a.Secret) {
		return Guide{}, errors.New("the secret has other characters than letters, digits, '.', '_', '~' and '-', which each app would read in its own way: paste it by hand, or make a new one")
	}
	var texts []*string
	for i := range g.Steps {
		texts = append(texts, &g.Steps[i].Where, &g.Steps[i].Text)
	}
	for i := range g.Remarks {
		texts = append(texts, &g.Remarks[i])
	}
	for _, text := range texts {
		if *text, err = execute(*text, f); err != nil {
			return Guide{}, fmt.Errorf("preset %s: %w", p.Name, err)
		}
	}
	return g, nil
}

// String returns the guide as a text: each step with its place, where the secret is, the remarks.
func (g Guide) String() string {
	var text strings.Builder
	for _, step := range g.Steps {
		fmt.Fprintf(&text, "%s:\n\n%s\n", step.Where, step.Text)
	}
	if g.SecretIn != "" {
		fmt.Fprintf(&text, "%s stands for the secret in %s.\n\n", placeholder, g.SecretIn)
	}
	for _, remark := range g.Remarks {
		fmt.Fprintf(&text, "- %s\n", remark)
	}
	return text.String()
}

// facts returns what the addresses of an app are made of.
func (a App) facts() (facts, error) {
	if !plain.MatchString(a.ID) {
		return facts{}, fmt.Errorf("the id %q of the app has other characters than letters, digits, '.', '_', '~' and '-'", a.ID)
	}
	if err := checkURL(a.URL); err != nil {
		return facts{}, fmt.Errorf("the app %s: %w", a.ID, err)
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		return facts{}, fmt.Errorf("the app %s: %w", a.ID, err)
	}
	return facts{
		ID: a.ID, URL: strings.TrimSuffix(a.URL, "/"), Origin: u.Scheme + "://" + u.Host, Host: u.Host,
		Path: "/" + strings.Trim(u.Path, "/"),
	}, nil
}

var (
	// plain are texts that no syntax interprets.
	plain = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	// plainURL are addresses without query, fragment, user name and escapes.
	plainURL = regexp.MustCompile(`^(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`)
	// unquoted are the characters of a label that some Format interprets.
	unquoted = regexp.MustCompile(`[^\pL\pN .,()+-]+`)
)

// checkURL refuses addresses that two programs could read in two ways, or that some Format would
// interpret.
func checkURL(address string) error {
	if !plainURL.MatchString(address) {
		return fmt.Errorf("%q is not an address such as https://app.example.com/path: https, a host in small letters and ASCII, no query, no escapes", address)
	}
	if u, err := url.Parse(address); err != nil || u.Path != "" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/" {
		return fmt.Errorf("%q has double slashes or dot segments", address)
	}
	return nil
}

// label returns a name without the characters that some Format interprets, host if none is left.
func label(name, host string) string {
	name = strings.Join(strings.Fields(unquoted.ReplaceAllString(name, " ")), " ")
	if name == "" {
		return host
	}
	return name
}

// execute returns a template's text.
func execute(text string, f facts) (string, error) {
	t, err := template.New("").Delims("<<", ">>").Funcs(template.FuncMap{
		"query": url.QueryEscape,
		"join":  func(separator string, list []string) string { return strings.Join(list, separator) },
	}).Parse(text)
	if err != nil {
		return "", err
	}
	var result strings.Builder
	err = t.Execute(&result, f)
	return result.String(), err
}
