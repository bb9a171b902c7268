package translate

import (
	"cmp"
	"fmt"

	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/oidc/catalogue"
)

// Clients translates the apps of a configuration. What an app leaves out is its preset's.
func Clients(apps []website.App) ([]oidc.Client, error) {
	clients := make([]oidc.Client, 0, len(apps))
	for i := range apps {
		from := &apps[i]
		preset := &catalogue.Preset{}
		kind := catalogue.Client{TokenAuth: string(oidc.SecretBasic), Scopes: oidc.Scopes()}
		if from.Preset != "" {
			var err error
			if preset, err = catalogue.Find(from.Preset); err != nil {
				return nil, fmt.Errorf("the app %s: %w", from.ID, err)
			}
			if kind, err = preset.Fill(catalogue.App{ID: from.ID, URL: from.URL}); err != nil {
				return nil, err
			}
		}
		to := oidc.Client{
			ID: from.ID, Name: cmp.Or(from.Name, preset.Title), Authority: from.Authority,
			TokenAuth: oidc.TokenAuth(cmp.Or(from.TokenAuth, kind.TokenAuth)), Secret: from.Secret.Reveal(),
			RedirectURIs: kind.RedirectURIs, PostLogoutRedirectURIs: kind.PostLogoutRedirectURIs,
			Scopes: kind.Scopes, Claims: kind.Claims, IDTokenClaims: kind.IDTokenClaims,
			Groups: from.Groups, SendGroups: from.SendGroups,
			AccessTokenLifetime: from.AccessTokenLifetime, RefreshLifetime: from.RefreshLifetime,
			Offline: from.Offline, AllowSharedOrigin: from.AllowSharedOrigin,
		}
		to.PKCEOptional = to.TokenAuth != oidc.NoSecret && (from.PKCE == "optional" || from.PKCE == "" && kind.PKCEOptional)
		if from.RedirectURIs != nil {
			to.RedirectURIs = from.RedirectURIs
		}
		if from.PostLogoutRedirectURIs != nil { // an empty list is none
			to.PostLogoutRedirectURIs = from.PostLogoutRedirectURIs
		}
		if from.Scopes != nil {
			to.Scopes = from.Scopes
		}
		if renamed := from.Claims.Renamed(); len(renamed) > 0 {
			to.Claims = renamed
		}
		if from.OwnIDTokenClaims {
			to.IDTokenClaims = from.IDTokenClaims
		}
		if to.BackchannelLogoutURI = kind.BackchannelLogoutURI; from.OwnLogoutURI {
			to.BackchannelLogoutURI = from.BackchannelLogoutURI
		}
		clients = append(clients, to)
	}
	return clients, nil
}
