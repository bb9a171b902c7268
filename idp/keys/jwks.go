package keys

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// JWKS writes public keys as a JWK Set (RFC 7517, section 5), in the order of their ids: the
// same keys give the same text.
func JWKS(published []Public) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, public := range published {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public.Key, KeyID: public.KID, Algorithm: public.Alg, Use: "sig"})
	}
	slices.SortFunc(set.Keys, func(a, b jose.JSONWebKey) int { return cmp.Compare(a.KeyID, b.KeyID) })
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("writing a JWK Set: %w", err)
	}
	return body, nil
}
