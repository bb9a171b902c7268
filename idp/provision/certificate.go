package provision

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// certificateRequest is what the provisioning page posts. The public key is an
// object, or a string that holds one, as genKeyPair hands it over; the
// duration is in seconds.
type certificateRequest struct {
	Email     string          `json:"email"`
	PublicKey json.RawMessage `json:"public_key"`
	Duration  json.RawMessage `json:"duration"`
}

func (e *Envelope) postCertificate(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	err := e.certify(w, r, h)
	if e.Events != nil {
		e.Events.Certificate(h.Name, route.Code(err, "issued"))
	}
	return err
}

// certify certifies the browser's key for an address of the person who is
// signed in. The person is read from the directory anew each time.
func (e *Envelope) certify(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	request, err := readRequest(w, r)
	if err != nil {
		return err
	}
	lifetime, err := lifetimeOf(request.Duration, h.CertificateLifetime)
	if err != nil {
		return err
	}
	key, err := e.clientKey(request.PublicKey)
	if err != nil {
		return &route.Error{Status: http.StatusBadRequest, Code: "bad_key", Cause: err}
	}
	subject, err := e.Sessions.Current(w, r, h, session.Now)
	if err != nil {
		return err
	}
	if subject == nil {
		return &route.Error{Status: http.StatusForbidden, Code: "not_signed_in"}
	}
	address, err := browserid.ParseAddress(request.Email)
	if err != nil || !subject.Owns(address) {
		return &route.Error{Status: http.StatusForbidden, Code: "not_your_address", Cause: err}
	}
	_, signer, err := e.Keys.Signer(h.Name, keys.UseCertificates)
	if err != nil {
		return err
	}
	certificate, err := browserid.SignCertificate(signer, e.Rand, browserid.CertificateRequest{
		Issuer: h.Name, Email: address, PublicKey: key, Now: e.Now(), Lifetime: lifetime,
		LegacyClientKeys: e.LegacyClientKeys,
	})
	if err != nil {
		return err
	}
	e.Respond.About(e.Respond.Log.Info(), r, h).Str("event", "certificate").Str("person", subject.Person.ID).
		Stringer("address", address).Str("key", key.Fingerprint()).Time("until", e.Now().Add(lifetime)).Msg("certificate issued")
	route.JSON(w, http.StatusOK, map[string]string{"certificate": certificate})
	return nil
}

func readRequest(w http.ResponseWriter, r *http.Request) (certificateRequest, error) {
	body, err := route.JSONBody(w, r)
	if err != nil {
		return certificateRequest{}, err
	}
	var request certificateRequest
	if err := browserid.DecodeObject(body, &request); err != nil {
		return certificateRequest{}, &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "object", Cause: err}
	}
	if request.Email == "" || request.PublicKey == nil {
		return certificateRequest{}, &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "members"}
	}
	return request, nil
}

// lifetimeOf reads a duration in whole seconds. Missing means as long as
// configured; what is longer is cut; what is shorter than a minute is a minute.
func lifetimeOf(duration json.RawMessage, configured time.Duration) (time.Duration, error) {
	if duration == nil {
		return configured, nil
	}
	asked, err := strconv.ParseUint(string(duration), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, &route.Error{Status: http.StatusBadRequest, Code: "bad_duration", Cause: err}
	}
	if asked >= uint64(configured/time.Second) { // also when out of range: ParseUint gives the largest
		return configured, nil
	}
	return max(time.Duration(asked)*time.Second, identity.MinCertificateLifetime), nil
}

// clientKey reads the browser's key and refuses a weak one, and those of our
// own hosts.
func (e *Envelope) clientKey(data json.RawMessage) (*browserid.PublicKey, error) {
	key, err := browserid.ParsePublicKey(data)
	if err != nil {
		return nil, err
	}
	if e.LegacyClientKeys {
		err = key.CheckLegacyClientKey()
	} else {
		err = key.CheckClientKey()
	}
	if err != nil {
		return nil, err
	}
	candidate := key.RSA()
	if candidate == nil {
		return key, nil // ours are RSA
	}
	for name, host := range e.hosts {
		if host.Role != identity.Provider {
			continue
		}
		published, err := e.Keys.Published(name, keys.UseCertificates)
		if err != nil {
			continue // a key that is not there yet cannot be presented
		}
		for _, own := range published {
			if candidate.Equal(own.Key) {
				return nil, errors.New("the key is that of the identity host " + name)
			}
		}
	}
	return key, nil
}
