package idp_test

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/provision"

	"github.com/google/go-cmp/cmp"
)

func TestSupportDocument(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	response := b.get("/.well-known/browserid?domain=example.test", with("Cookie", "__Host-persona=x"))
	wantStatus(t, response, http.StatusOK)
	if cookie := response.Header["Set-Cookie"]; cookie != nil {
		t.Errorf("the document sets a cookie: %s", cookie)
	}
	body := text(t, response)
	document, err := browserid.ParseDocument([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := browserid.Support{PublicKey: b.published(host)[0], Authentication: "/persona/authenticate", Provisioning: "/persona/provision"}
	if diff := cmp.Diff(browserid.Document(want), document); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}

	etag := response.Header.Get("ETag")
	for header, status := range map[string]int{
		etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, strings.Trim(etag, `"`): 200,
	} {
		again := b.get("/.well-known/browserid", with("If-None-Match", header))
		wantStatus(t, again, status)
		if again.Header.Get("ETag") != etag || (status == http.StatusNotModified && text(t, again) != "") {
			t.Errorf("If-None-Match %s: %v", header, again.Header)
		}
	}

	b.host = otherHost
	if text(t, b.get("/.well-known/browserid")) == body {
		t.Error("two hosts publish the same key")
	}
}

// twoKeys are the keys of a host while a rotation overlaps.
type twoKeys struct {
	provision.Keys
	second keys.Public
}

func (k twoKeys) Published(host string, use keys.Use) ([]keys.Public, error) {
	published, err := k.Keys.Published(host, use)
	return append(published, k.second), err
}

func (k twoKeys) Holds(modulus *big.Int) (string, bool) {
	if k.second.Key.(*rsa.PublicKey).N.Cmp(modulus) == 0 {
		return host, true
	}
	return k.Keys.Holds(modulus)
}

func TestSupportDocumentWhileKeysOverlap(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	second, err := browserid.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	b := newWorld(t, func(c *settings) { c.Keys = twoKeys{c.Keys, keys.Public{Key: &private.PublicKey}} }).browser()
	document, err := browserid.ParseDocument([]byte(text(t, b.get("/.well-known/browserid"))))
	if err != nil {
		t.Fatal(err)
	}
	support := document.(browserid.Support)
	if len(support.Keys) != 2 || !support.Keys[0].Equal(support.PublicKey) || !support.Keys[1].Equal(second) {
		t.Errorf("keys: %v", support.Keys)
	}
	b.signIn("alice", password)
	response := b.postJSON("/persona/api/certificate", requestWithKey("alice@example.test", classic(private.N, bigE(private))))
	wantError(t, response, http.StatusBadRequest, "bad_key")
}
