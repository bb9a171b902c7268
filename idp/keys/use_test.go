package keys_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"persona-sidecar/idp/keys"
)

func TestSignerSignsNothingElse(t *testing.T) {
	t.Parallel()
	_, signer, err := loaded(t, filled(t, 0)).Signer(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := signer.(*rsa.PrivateKey); ok {
		t.Error("the signer is the key")
	}
	if _, ok := signer.(crypto.Decrypter); ok {
		t.Error("the signer decrypts")
	}
	digest := sha256.Sum256([]byte("text"))
	for name, opts := range map[string]crypto.SignerOpts{
		"nothing":  nil,
		"SHA-1":    crypto.SHA1,
		"SHA-512":  crypto.SHA512,
		"unhashed": crypto.Hash(0),
		"PSS":      &rsa.PSSOptions{Hash: crypto.SHA256},
	} {
		if signature, err := signer.Sign(rand.Reader, digest[:], opts); err == nil {
			t.Errorf("%s: signed %x", name, signature)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%d", "%x", "%s"} {
		if got := fmt.Sprintf(format, signer); got != "[hidden]" {
			t.Errorf("%s prints %q", format, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := loaded(t, filled(t, 0))
	sealed := seal(t, r, "text", "data")
	for name, bad := range map[string][]byte{
		"nothing":       nil,
		"a byte":        {1},
		"a header":      sealed[:9],
		"short":         sealed[:len(sealed)-1],
		"long":          append(bytes.Clone(sealed), 0),
		"another":       append(bytes.Clone(sealed[:9]), bytes.Repeat([]byte{0}, 40)...),
		"another ring":  seal(t, loaded(t, filled(t, 1)), "text", "data"),
		"twice as long": append(bytes.Clone(sealed), sealed...),
	} {
		if text, err := r.Open(keys.UseSession, bad, []byte("data")); !errors.Is(err, keys.ErrForged) || text != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, associated := range []string{"", "dat", "data ", "Data"} {
		if _, err := r.Open(keys.UseSession, sealed, []byte(associated)); !errors.Is(err, keys.ErrForged) {
			t.Errorf("associated data %q: %v", associated, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			if _, err := r.Open(keys.UseSession, bad, []byte("data")); !errors.Is(err, keys.ErrForged) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
}
