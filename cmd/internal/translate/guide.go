package translate

import (
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/oidc/catalogue"
)

// discovery is where an issuer has its discovery document (OpenID Connect Discovery 1.0, section 4).
const discovery = "/.well-known/openid-configuration"

// Guide returns what the administrator of an app has to set there, as a text. It holds the secret only
// where show says so; a secret that the syntax of the app could interpret is then an error.
func Guide(c *config.Config, app *website.App, show bool) (string, error) {
	origin := "https://" + config.Authority(app.Authority, c.Listen.PublicHTTPS, 443)
	at := catalogue.Provider{
		Issuer: origin + strings.TrimSuffix(oidc.PathDiscovery, discovery), Authorization: origin + oidc.PathAuthorize,
		Token: origin + oidc.PathToken, Userinfo: origin + oidc.PathUserinfo, EndSession: origin + oidc.PathLogout,
	}
	secretIn := "the configuration"
	if file := app.Secret.File(); file != "" {
		secretIn = file
	}
	clients, err := Clients([]website.App{*app})
	if err != nil {
		return "", err
	}
	public := clients[0].TokenAuth == oidc.NoSecret
	if app.Preset == "" {
		secret := "in " + secretIn
		switch {
		case public:
			secret = "none: the app is a public client"
		case show:
			secret = app.Secret.Reveal()
		}
		var b strings.Builder
		for _, line := range [][2]string{
			{"issuer", at.Issuer},
			{"discovery", at.Issuer + discovery},
			{"client id", app.ID},
			{"client secret", secret},
			{"authentication", string(clients[0].TokenAuth)},
			{"scopes", strings.Join(clients[0].Scopes, " ")},
			{"redirect URI", strings.Join(clients[0].RedirectURIs, " ")},
			{"sign-out URI", strings.Join(clients[0].PostLogoutRedirectURIs, " ")},
		} {
			if line[1] != "" {
				fmt.Fprintf(&b, "%-16s%s\n", line[0]+":", line[1])
			}
		}
		return b.String(), nil
	}
	preset, err := catalogue.Find(app.Preset)
	if err != nil {
		return "", err
	}
	to := catalogue.App{ID: app.ID, URL: app.URL, SecretIn: secretIn}
	if show {
		to.Secret = app.Secret.Reveal()
	}
	if public {
		to.SecretIn = ""
	}
	guide, err := preset.Guide(to, at)
	if err != nil {
		return "", err
	}
	if public {
		guide.Remarks = append(guide.Remarks, "The app is a public client (token_auth none): leave its secret empty.")
	}
	return guide.String(), nil
}

// Title returns what the makers of a kind of app call it, and an error where there is no such preset, or where it
// cannot be used for an app with this id and address.
func Title(preset, id, address string) (string, error) {
	p, err := catalogue.Find(preset)
	if err != nil {
		return "", err
	}
	if _, err := p.Fill(catalogue.App{ID: id, URL: address}); err != nil {
		return "", err
	}
	return p.Title, nil
}
