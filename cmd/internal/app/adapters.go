package app

import "persona-sidecar/idp/keys"

// sessionSealer lends session the one key of the ring that is for cookies.
type sessionSealer struct{ ring *keys.Ring }

func (s sessionSealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sessionSealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}
