package provision

import (
	"fmt"
	"net/http"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/web"
)

// getDocument serves the support, delegating or disabled document of a host. It
// looks at neither query nor cookie.
func (e *Envelope) getDocument(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	document, err := e.document(h)
	if err != nil {
		return err
	}
	body, err := browserid.MarshalDocument(document)
	if err != nil {
		return fmt.Errorf("writing the document of %s: %w", h.Name, err)
	}
	// Old clients compare the type as text: lower case, and nothing after it.
	return route.Asset(web.Asset{ContentType: "application/json", Body: body, ETag: web.ETag(body)})(w, r)
}

// Document returns what a domain of ours publishes, or would: a mail domain
// that is signed for and not served here delegates to its host. ok is false for
// any other domain. An error means that the keys are not ready yet.
func (e *Envelope) Document(domain string) (doc browserid.Document, ok bool, err error) {
	if host, ok := e.hosts[domain]; ok {
		doc, err := e.document(host)
		return doc, true, err
	}
	if host, ok := e.signers[domain]; ok {
		return browserid.Delegation{Authority: host}, true, nil
	}
	return nil, false, nil
}

func (e *Envelope) document(h *identity.Host) (browserid.Document, error) {
	switch h.Role {
	case identity.Delegating:
		return browserid.Delegation{Authority: h.Authority}, nil
	case identity.Disabled:
		return browserid.Disabled{}, nil
	case identity.Provider:
	}
	current, err := e.Keys.Published(h.Name, keys.UseCertificates)
	if err != nil {
		return nil, err
	}
	published := make([]*browserid.PublicKey, len(current))
	for i, public := range current {
		if published[i], err = browserid.NewPublicKey(public.Key); err != nil {
			return nil, fmt.Errorf("publishing the key %s of %s: %w", public.KID, h.Name, err)
		}
	}
	support := browserid.Support{
		PublicKey:      published[0],
		Authentication: signin.PathAuthenticate,
		Provisioning:   PathProvision,
	}
	if len(published) > 1 {
		support.Keys = published
	}
	return support, nil
}
