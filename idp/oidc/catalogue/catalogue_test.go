package catalogue_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"persona-sidecar/idp/oidc/catalogue"
)

var update = flag.Bool("update", false, "write the golden files anew")

func provider() catalogue.Provider {
	const issuer = "https://id.example.com/persona"
	return catalogue.Provider{
		Name: "Example AG", Issuer: issuer, Authorization: issuer + "/oauth/authorize", Token: issuer + "/oauth/token",
		Userinfo: issuer + "/oauth/userinfo", EndSession: issuer + "/oauth/logout",
	}
}

func find(t *testing.T, name string) *catalogue.Preset {
	t.Helper()
	p, err := catalogue.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range catalogue.Names() {
		if p := find(t, name); p.Name != name {
			t.Errorf("%s.yaml is called %q", name, p.Name)
		}
	}
	if _, err := catalogue.Find("confluence"); err == nil || !strings.Contains(err.Error(), "grafana, ") {
		t.Errorf("an unknown preset: %v", err)
	}
}

// TestGolden keeps what each preset says of an app, and what its administrator is told to paste.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range catalogue.Names() {
		p := find(t, name)
		app := catalogue.App{ID: name, URL: "https://" + strings.ReplaceAll(name, "_", "-") + ".example.com", SecretIn: "/etc/persona/" + name + ".secret"}
		client, err := p.Fill(app)
		if err != nil {
			t.Fatal(err)
		}
		guide, err := p.Guide(app, provider())
		if err != nil {
			t.Fatal(err)
		}
		facts, err := yaml.Marshal(client)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s----\n%s", facts, guide)
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestTexts reads each text in its own syntax, for an app on a host of its own and for one with a port
// and a path, and looks at what it says: the app's own client id, no address but those of the app and
// the provider, and no trace of a template.
func TestTexts(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`https?://[^\s"'<>)\]},;|&\\]+`)
	for _, name := range catalogue.Names() {
		for _, url := range []string{"https://app.example.com", "https://apps.example.com:8443/tools/app"} {
			app := catalogue.App{ID: "the-app", URL: url, SecretIn: "here"}
			guide, err := find(t, name).Guide(app, provider())
			if err != nil {
				t.Fatal(err)
			}
			whole := strings.Join(guide.Remarks, "\n")
			for _, step := range guide.Steps {
				whole += step.Where + "\n" + step.Text
				if err := read(t, step); err != nil {
					t.Errorf("%s, %s: %v\n%s", name, step.Where, err, step.Text)
				}
				for _, found := range address.FindAllString(step.Text, -1) {
					origin := strings.TrimSuffix(url, "/tools/app")
					if !strings.HasPrefix(found, "https://id.example.com/persona") && found != origin && !strings.HasPrefix(found, origin+"/") {
						t.Errorf("%s: what is %s?", name, found)
					}
				}
			}
			for _, want := range []string{"the-app", "THE-SECRET"} {
				if !strings.Contains(whole, want) {
					t.Errorf("%s: %s is missing", name, want)
				}
			}
			if !strings.Contains(whole, "https://id.example.com/persona") {
				t.Errorf("%s: the provider is missing", name)
			}
			for _, trace := range []string{"<<", ">>", "<no value>", "[openid profile"} {
				if strings.Contains(whole, trace) {
					t.Errorf("%s: %q in the text", name, trace)
				}
			}
		}
	}
}

// TestAddresses shows that each address of an app is below the app's own, whatever its port and path.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, name := range catalogue.Names() {
		for given, base := range map[string]string{
			"https://app.example.com":                  "https://app.example.com",
			"https://app.example.com/":                 "https://app.example.com",
			"https://apps.example.com:8443/tools/app/": "https://apps.example.com:8443",
			"http://localhost:3000":                    "http://localhost:3000",
			"http://[::1]:3000/x":                      "http://[::1]:3000",
		} {
			client, err := find(t, name).Fill(catalogue.App{ID: "app", URL: given})
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range slices.Concat(client.RedirectURIs, client.PostLogoutRedirectURIs, []string{client.BackchannelLogoutURI}) {
				rest := strings.TrimPrefix(strings.TrimPrefix(address, base), strings.TrimSuffix(strings.TrimPrefix(given, base), "/"))
				switch {
				case address == "":
				case !strings.HasPrefix(address, base), strings.Contains(rest, "//"), rest != "" && rest[0] != '/', strings.ContainsAny(address, "<> #"):
					t.Errorf("%s of %s: %s", name, given, address)
				}
			}
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	for _, name := range catalogue.Names() {
		app := catalogue.App{ID: "app", URL: "https://app.example.com", SecretIn: "/etc/persona/app.secret"}
		guide, err := find(t, name).Guide(app, provider())
		if text := guide.String(); err != nil || !strings.Contains(text, "THE-SECRET stands for the secret in /etc/persona/app.secret.") {
			t.Errorf("%s, %v: %s", name, err, text)
		}
		app.Secret = "s3cr3t-s3cr3t_s3cr3t~."
		guide, err = find(t, name).Guide(app, provider())
		if text := guide.String(); err != nil || !strings.Contains(text, app.Secret) || strings.Contains(text, "THE-SECRET") {
			t.Errorf("%s, %v: %s", name, err, text)
		}
		for _, secret := range []string{"'; evil", "a b c", "%41", `"`, "$x", "`id`", "a\nb", "#", "é"} {
			app.Secret = secret
			if _, err := find(t, name).Guide(app, provider()); err == nil || strings.Contains(err.Error(), secret) && len(secret) > 1 {
				t.Errorf("%s: the secret %q: %v", name, secret, err)
			}
		}
	}
}

// TestInput refuses what some syntax would interpret, and leaves it out of the label.
func TestInput(t *testing.T) {
	t.Parallel()
	p := find(t, "grafana")
	for _, url := range []string{
		"", "grafana.example.com", "http://grafana.example.com", "ftp://a.example.com", "https://", "https:///x", "https://A.example.com", "https://a.example.com/?x=1",
		"https://a.example.com/#x", "https://u@a.example.com", "https://a.example.com/a b", "https://a.example.com/%2e", "https://a.example.com//x",
		"https://a.example.com/a/../b", "https://a.example.com/.", "https://a.example.com\n", "https://a.example.com/'", `https://a.example.com\x`, "https://bücher.example.com",
		"http://localhost.example.com", "https://a.example.com:123456", "https://a.example.com:", "https://a.example.com/<<.Secret>>",
	} {
		if c, err := p.Fill(catalogue.App{ID: "app", URL: url}); err == nil {
			t.Errorf("%q is taken: %q", url, c.RedirectURIs)
		}
		at := provider()
		at.Userinfo = url
		if _, err := p.Guide(catalogue.App{ID: "app", URL: "https://a.example.com"}, at); err == nil {
			t.Errorf("a provider with %q is taken", url)
		}
	}
	for _, id := range []string{"", "a b", "a'b", "a\nb", "ä", "<<.URL>>"} {
		if _, err := p.Fill(catalogue.App{ID: id, URL: "https://a.example.com"}); err == nil {
			t.Errorf("the id %q is taken", id)
		}
	}
	for name, want := range map[string]string{
		"Müller & Söhne":                 "name = Müller Söhne\n",
		"O'Reilly \"Inc\"\n; x = `$y`\\": "name = O Reilly Inc x y\n",
		"":                               "name = id.example.com\n",
		"\x00<>":                         "name = id.example.com\n",
	} {
		at := provider()
		at.Name = name
		guide, err := p.Guide(catalogue.App{ID: "app", URL: "https://a.example.com"}, at)
		if text := guide.String(); err != nil || !strings.Contains(text, want) {
			t.Errorf("%q, %v: %s", name, err, text)
		}
	}
}
