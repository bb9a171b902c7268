package idp

import (
	"fmt"
	"net/http"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/web"
)

// getDocument serves /.well-known/browserid: the support, delegating or
// disabled document of the host. It looks at neither query nor cookie.
func (s *Server) getDocument(w http.ResponseWriter, r *http.Request, site *site) error {
	content, err := s.document(site)
	if err != nil {
		return err
	}
	body, err := browserid.MarshalDocument(content)
	if err != nil {
		return fmt.Errorf("writing the document of %s: %w", site.host.Name, err)
	}
	// Old clients compare the type as text: lower case, and nothing after it.
	asset := web.Asset{ContentType: "application/json", Body: body, ETag: web.ETag(body)}
	return serveAsset(asset)(w, r, site)
}

func (s *Server) document(site *site) (browserid.Document, error) {
	switch site.host.Role {
	case identity.Delegating:
		return browserid.Delegation{Authority: site.host.Authority}, nil
	case identity.Disabled:
		return browserid.Disabled{}, nil
	}
	current, err := s.config.Keys.Published(site.host.Name, keys.UseCertificates)
	if err != nil {
		return nil, errKeys(err)
	}
	published := make([]*browserid.PublicKey, len(current))
	for i, public := range current {
		if published[i], err = browserid.NewPublicKey(public.Key); err != nil {
			return nil, fmt.Errorf("publishing the key %s of %s: %w", public.KID, site.host.Name, err)
		}
	}
	support := browserid.Support{
		PublicKey:      published[0],
		Authentication: pathAuthenticate,
		Provisioning:   pathProvision,
	}
	if len(published) > 1 {
		support.Keys = published
	}
	return support, nil
}
