package verifier_test

import (
	"context"
	"errors"
	"fmt"

	"persona-sidecar/idp/verifier"
)

// A website in Go needs no request to a verifier: it verifies by itself. It
// accepts addresses of example.com alone, whatever authority that domain has.
func Example() {
	discovery := verifier.NewDiscovery(verifier.DiscoveryConfig{UserAgent: "my-website"})
	defer discovery.Close()
	v := verifier.New(verifier.Config{Discovery: discovery, Domains: []string{"example.com"}})

	// The bundle is what navigator.id gave to onlogin. The audience is the
	// site's own origin, from its configuration and never from the request.
	bundle := "what the browser posted"
	verdict, err := v.Verify(context.Background(), bundle, "https://rp.example")

	var refused *verifier.Refusal
	switch {
	case errors.As(err, &refused):
		fmt.Println("not signed in:", refused.Reason)
	case err != nil:
		fmt.Println("try again:", err)
	default:
		fmt.Println("signed in:", verdict.Email)
	}
	// Output:
	// not signed in: no certificates provided
}
