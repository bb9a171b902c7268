package oidc

import (
	"net/http"
	"slices"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// userinfo tells an app about the person of an access token (OpenID Connect Core 1.0, section 5.3),
// by what the directory says now.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	// In an address a token would get into logs and histories: RFC 9700, section 4.3.2.
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if len(r.Header["Authorization"]) != 1 || !strings.EqualFold(scheme, "Bearer") || r.URL.Query().Has("access_token") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="persona"`)
		return refuse(http.StatusUnauthorized, "invalid_request", "bearer")
	}
	access, client, err := p.openAccessToken(r, h, text)
	if err != nil {
		return err
	}
	var subject *session.Subject
	if access != nil {
		if err := allowOrigin(w, r, client); err != nil {
			return err
		}
		if subject, err = p.recall(r, h, client, access.Session, access.Grant, access.Offline); err != nil {
			return err
		}
	}
	if subject == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="persona", error="invalid_token"`)
		return refuse(http.StatusUnauthorized, "invalid_token", "")
	}
	claims := client.claims(subject.Person, access.Scopes)
	claims["sub"] = subjectID(subject.Person)
	route.JSON(w, http.StatusOK, claims)
	return nil
}

// openAccessToken returns what an access token is, and whose; nil where it counts no more.
func (p *Provider) openAccessToken(r *http.Request, h *identity.Host, text string) (*accessToken, *Client, error) {
	access := &accessToken{}
	if ok, err := p.openText(h, accessPurpose, text, access); !ok || err != nil || !p.Now().Before(access.Expires) {
		return nil, nil, err
	}
	client := p.hosts[h.Name][access.ClientID]
	if client == nil {
		return nil, nil, nil
	}
	if over, err := p.isEnded(r.Context(), access.Grant); over || err != nil {
		return nil, nil, err
	}
	return access, client, nil
}

// revoke ends all that was given with an access token or a refresh token (RFC 7009). One that counts no more, or is
// none, is no error.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	fields, client, err := p.asked(w, r, h)
	if err != nil {
		return err
	}
	if !fields.Has("token") {
		return refuse(http.StatusBadRequest, "invalid_request", "token")
	}
	var owner, grant string
	access, _, err := p.openAccessToken(r, h, fields.Get("token"))
	if err != nil {
		return err
	}
	refresh, err := p.openRefreshToken(r, h, fields.Get("token"))
	if err != nil {
		return err
	}
	switch {
	case access != nil:
		owner, grant = access.ClientID, access.Grant
	case refresh != nil:
		owner, grant = refresh.ClientID, refresh.Grant
	default:
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if owner != client.ID {
		return refuse(http.StatusBadRequest, "invalid_grant", "other")
	}
	if err := p.end(r.Context(), grant, client); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// claims returns what a client with scopes is told of a person, under the client's names.
func (c *Client) claims(person identity.Person, scopes []string) map[string]any {
	told := map[string]any{}
	tell := func(claim string, value any) {
		if name, ok := c.Claims[claim]; ok {
			claim = name
		}
		told[claim] = value
	}
	if slices.Contains(scopes, scopeProfile) {
		tell("name", person.DisplayName())
		if person.Login != "" {
			tell("preferred_username", person.Login)
		}
	}
	if slices.Contains(scopes, scopeEmail) && len(person.Addresses) > 0 {
		tell("email", person.Addresses[0].String())
		tell("email_verified", true)
	}
	if slices.Contains(scopes, scopeGroups) {
		groups := []string{}
		for _, group := range person.Groups {
			if c.SendGroups == nil || slices.ContainsFunc(c.SendGroups, func(pattern string) bool {
				prefix, rest := strings.CutSuffix(pattern, "*")
				return strings.EqualFold(group, pattern) || rest && strings.HasPrefix(strings.ToLower(group), strings.ToLower(prefix))
			}) {
				groups = append(groups, group)
			}
		}
		tell("groups", groups)
	}
	return told
}
