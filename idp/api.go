package idp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
)

// sessionAnswer is what /persona/api/session tells our own pages.
type sessionAnswer struct {
	SignedIn bool `json:"signed_in"`
	// DirectoryAvailable is false when it cannot be said who is signed in.
	DirectoryAvailable bool     `json:"directory_available"`
	Name               string   `json:"name,omitempty"`
	Addresses          []string `json:"addresses"`
	Computer           string   `json:"computer,omitempty"` // private or shared
}

// getSession says who is signed in: 200 always, because nobody being signed in
// is no error.
func (s *Server) getSession(w http.ResponseWriter, r *http.Request, site *site) error {
	visit, err := s.visitor(w, r, site, false)
	if err != nil {
		return err
	}
	answer := sessionAnswer{SignedIn: visit.signedIn(), DirectoryAvailable: visit.unavailable == nil, Addresses: []string{}}
	if visit.unavailable != nil {
		s.about(s.log.Warn(), r, site).Err(visit.unavailable).Str("hint", identity.Hint(visit.unavailable)).Msg("the directory cannot be reached")
	}
	if visit.signedIn() {
		answer.Computer = string(visit.session.Computer)
	}
	if visit.signedIn() && visit.unavailable == nil {
		answer.Name = visit.person.DisplayName()
		for _, address := range visit.person.Addresses {
			answer.Addresses = append(answer.Addresses, address.String())
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// certificateRequest is what the provisioning page posts. The public key is an
// object, or a string that holds one, as genKeyPair hands it over; the
// duration is in seconds.
type certificateRequest struct {
	Email     string          `json:"email"`
	PublicKey json.RawMessage `json:"public_key"`
	Duration  json.RawMessage `json:"duration"`
}

// postCertificate certifies the browser's key for an address of the person who
// is signed in. The person is read from the directory anew each time.
func (s *Server) postCertificate(w http.ResponseWriter, r *http.Request, site *site) error {
	err := s.issueCertificate(w, r, site)
	s.countCertificate(site, err)
	return err
}

func (s *Server) issueCertificate(w http.ResponseWriter, r *http.Request, site *site) error {
	request, err := readCertificateRequest(w, r)
	if err != nil {
		return err
	}
	lifetime, err := certificateLifetime(request.Duration, site.host.CertificateLifetime)
	if err != nil {
		return err
	}
	key, err := s.clientKey(request.PublicKey)
	if err != nil {
		return err
	}
	visit, err := s.visitor(w, r, site, true)
	if err != nil {
		return err
	}
	if !visit.signedIn() {
		return &httpError{status: http.StatusForbidden, code: "not_signed_in", public: "Nobody is signed in."}
	}
	if visit.unavailable != nil {
		return site.errDirectory(visit.unavailable, "")
	}
	address, err := browserid.ParseAddress(request.Email)
	if err != nil || !slices.Contains(visit.person.Addresses, address) {
		return &httpError{status: http.StatusForbidden, code: "not_your_address", public: "This address is not among yours.", cause: err}
	}
	certificate, err := s.certify(site, address, key, lifetime)
	if err != nil {
		return err
	}
	s.about(s.log.Info(), r, site).Str("event", "certificate").Str("person", visit.person.ID).
		Stringer("address", address).Str("key", key.Fingerprint()).Time("until", s.config.Now().Add(lifetime)).Msg("certificate issued")
	writeJSON(w, http.StatusOK, map[string]string{"certificate": certificate})
	return nil
}

func (s *Server) certify(site *site, address browserid.Address, key *browserid.PublicKey, lifetime time.Duration) (string, error) {
	_, signer, err := s.config.Keys.Signer(site.host.Name, keys.UseCertificates)
	if err != nil {
		return "", errKeys(err)
	}
	return browserid.SignCertificate(signer, s.config.Rand, browserid.CertificateRequest{
		Issuer: site.host.Name, Email: address, PublicKey: key, Now: s.config.Now(), Lifetime: lifetime,
		LegacyClientKeys: s.config.LegacyClientKeys,
	})
}

func readCertificateRequest(w http.ResponseWriter, r *http.Request) (certificateRequest, error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return certificateRequest{}, &httpError{status: http.StatusUnsupportedMediaType, code: "not_json", public: "This address takes application/json only."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return certificateRequest{}, bodyError(err, "The request could not be read.")
	}
	var request certificateRequest
	if err := browserid.DecodeObject(body, &request); err != nil {
		return certificateRequest{}, badRequest("The request is not the JSON object that is expected.", err)
	}
	if request.Email == "" || request.PublicKey == nil {
		return certificateRequest{}, badRequest("The request lacks email or public_key.", nil)
	}
	return request, nil
}

func badRequest(public string, cause error) error {
	return &httpError{status: http.StatusBadRequest, code: "bad_request", public: public, cause: cause}
}

// certificateLifetime reads a duration in whole seconds. Missing means as long
// as configured; what is longer is cut; what is shorter than a minute is a
// minute.
func certificateLifetime(duration json.RawMessage, configured time.Duration) (time.Duration, error) {
	if duration == nil {
		return configured, nil
	}
	asked, err := strconv.ParseUint(string(duration), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, &httpError{status: http.StatusBadRequest, code: "bad_duration", public: "The duration is not a whole number of seconds.", cause: err}
	}
	if asked >= uint64(configured/time.Second) { // also when out of range: ParseUint gives the largest
		return configured, nil
	}
	return max(time.Duration(asked)*time.Second, identity.MinCertificateLifetime), nil
}

// clientKey reads the browser's key and refuses a weak one, and any of ours.
func (s *Server) clientKey(data json.RawMessage) (*browserid.PublicKey, error) {
	key, err := browserid.ParsePublicKey(data)
	if err == nil && s.config.LegacyClientKeys {
		err = key.CheckLegacyClientKey()
	} else if err == nil {
		err = key.CheckClientKey()
	}
	if err == nil {
		err = s.checkForeign(key)
	}
	if err != nil {
		return nil, &httpError{status: http.StatusBadRequest, code: "bad_key", public: "This public key cannot be certified.", cause: err}
	}
	return key, nil
}

// checkForeign refuses the keys of our own hosts.
func (s *Server) checkForeign(key *browserid.PublicKey) error {
	candidate := key.RSA()
	if candidate == nil {
		return nil // ours are RSA
	}
	for name, site := range s.sites {
		if site.host.Role != identity.Provider {
			continue
		}
		published, err := s.config.Keys.Published(name, keys.UseCertificates)
		if err != nil {
			continue // a key that is not there yet cannot be presented
		}
		for _, own := range published {
			if candidate.Equal(own.Key) {
				return errors.New("the key is that of the identity host " + name)
			}
		}
	}
	return nil
}
