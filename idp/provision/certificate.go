package provision

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/browserid/strictjson"
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

// certify certifies the browser's key for an address of the person who is
// signed in. The person is read from the directory anew each time.
func (e *Envelope) certify(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	body, err := route.JSONBody(w, r)
	if err != nil {
		return err
	}
	var request certificateRequest
	if err := strictjson.Decode(body, &request); err != nil {
		return &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "object", Cause: err}
	}
	if request.Email == "" || request.PublicKey == nil {
		return &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "members"}
	}
	lifetime, err := lifetimeOf(request.Duration, h.CertificateLifetime)
	if err != nil {
		return err
	}
	issuer, err := e.issuer(h)
	if err != nil {
		return err
	}
	key, err := browserid.ParsePublicKey(request.PublicKey)
	if err == nil {
		err = issuer.CheckClientKey(key)
	}
	if err == nil {
		err = e.checkOurs(key)
	}
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
	now := e.Now()
	certificate, err := issuer.Sign(address, key, now, lifetime)
	if errors.Is(err, browserid.ErrWeakKey) {
		return &route.Error{Status: http.StatusBadRequest, Code: "bad_key", Cause: err}
	}
	if err != nil {
		return err
	}
	e.Respond.About(e.Respond.Log.Info(), r, h).Str("event", "certificate").Str("person", subject.Person.ID).
		Stringer("address", address).Str("key", key.Fingerprint()).Time("until", now.Add(lifetime)).Msg("certificate issued")
	route.JSON(w, http.StatusOK, map[string]string{"certificate": certificate})
	return nil
}

// issuer returns the issuer with a host's current key, made once for each key.
func (e *Envelope) issuer(h *identity.Host) (*browserid.Issuer, error) {
	kid, signer, err := e.Keys.Signer(h.Name, keys.UseCertificates)
	if err != nil {
		return nil, err
	}
	if known, ok := e.issuers.Load(kid); ok {
		return known.(*browserid.Issuer), nil
	}
	issuer, err := browserid.NewIssuer(h.Name, signer, e.Rand, e.LegacyClientKeys)
	if err != nil {
		return nil, err
	}
	e.issuers.Store(kid, issuer)
	return issuer, nil
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

// checkOurs refuses the keys of all our hosts, retired ones too: whatever is signed
// with one of them counts for a whole domain.
func (e *Envelope) checkOurs(key *browserid.PublicKey) error {
	candidate := key.RSA()
	if candidate == nil {
		return nil // ours are RSA
	}
	if host, ours := e.Keys.Holds(candidate.N); ours {
		return errors.New("the modulus is that of a key of the identity host " + host)
	}
	return nil
}
