package browserid_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"persona-sidecar/idp/browserid"
)

// A whole trip: an identity host certifies a browser's key, the browser asserts
// who it is at a website, the website's verifier accepts it.
func Example() {
	now := time.Now()

	// The browser makes a key pair. The public half travels as JSON.
	browser, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	public, err := browserid.NewPublicKey(&browser.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	sent, err := json.Marshal(public)
	if err != nil {
		log.Fatal(err)
	}

	// The identity host, having seen who is signed in, certifies it.
	domain, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	key, err := browserid.ParsePublicKey(sent)
	if err != nil {
		log.Fatal(err)
	}
	alice, err := browserid.ParseAddress("Alice@example.com")
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := browserid.NewIssuer("example.com", domain, rand.Reader, false)
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := issuer.Sign(alice, key, now, time.Hour)
	if err != nil {
		log.Fatal(err)
	}

	// The browser signs an assertion for one website.
	assertion, err := browserid.SignAssertion(browser, rand.Reader, "https://rp.example", now.Add(2*time.Minute))
	if err != nil {
		log.Fatal(err)
	}

	// The website's verifier looks up the issuer's keys and checks the bundle.
	bundle, err := browserid.ParseBundle(certificate + "~" + assertion)
	if err != nil {
		log.Fatal(err)
	}
	published, err := browserid.NewPublicKey(&domain.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	err = bundle.Verify([]*browserid.PublicKey{published}, "https://rp.example", now)
	fmt.Println(bundle.Certificate.Email, "by", bundle.Certificate.Issuer, "error:", err)

	err = bundle.Verify([]*browserid.PublicKey{published}, "https://other.example", now)
	fmt.Println("elsewhere:", err)
	// Output:
	// alice@example.com by example.com error: <nil>
	// elsewhere: audience mismatch: domain mismatch
}
