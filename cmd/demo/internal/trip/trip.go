// Package trip makes the demo's whole trip by itself, as a browser and a relying party would: the website through the
// proxy, the support document, a sign-in, a certificate, an assertion, and what must be refused. It uses the sidecar
// from outside only, by HTTP over real TLS.
package trip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"persona-sidecar/cmd/internal/visitor"
)

// Target is what the trip goes to.
type Target struct {
	Host           string // the identity host, without a port: the certificates' issuer
	Origin         string // https://host:port of the identity host
	PlainOrigin    string // http://host:port of the same
	DelegateOrigin string // https://host:port of a domain that delegates to Host
	ShopOrigin     string // https://host:port of a relying party on another site
	// Client trusts the right CA, finds the hosts, follows no redirect and keeps no cookie.
	Client *http.Client

	Login, Password string
	Addresses       []string // of the person, primary first; the first is certified
	Foreign         string   // another person's address

	Now  func() time.Time
	Rand io.Reader
}

// Step is one thing that is tried.
type Step struct {
	Name string
	Hint string // what to look at when it fails
	// Do tries it and returns what was found.
	Do func(context.Context) (seen string, err error)
}

// Trip is one way through all steps; each keeps what the later ones need.
type Trip struct {
	Target
	client  visitor.Client  // keeps no cookies
	visitor visitor.Visitor // the person's browser at the identity host
	bundle  string          // for the shop
}

// New prepares a trip.
func New(target Target) *Trip {
	client := visitor.Client{HTTP: target.Client}
	return &Trip{Target: target, client: client, visitor: visitor.Visitor{
		Client: client.WithCookies(), Origin: target.Origin, Now: target.Now, Rand: target.Rand,
	}}
}

// Steps are the whole trip in order.
func (t *Trip) Steps() []Step {
	const (
		front     = "is the website up, and does the domain's upstream in the configuration name it?"
		identity  = "does the domain name a directory, and was the key made? The log says so"
		sign      = "does the directory answer, with this account in it? The log names the cause"
		protocol  = "this is a fault of the program: please report it with the log"
		shop      = "does hub.relying_parties name the shop, and does the shop reach the verifier? Its log is beside the sidecar's"
		website   = "do both domains have identity_headers, and does the second name the first as its authority?"
		redirects = "are listen.http and listen.public_https right?"
	)
	return []Step{
		{"website through the proxy", front, t.visitWebsite},
		{"request passed on unchanged", front, t.visitUnchanged},
		{"stream not held back", front, t.visitStream},
		{"plain HTTP redirects", redirects, t.visitPlain},
		{"support document", identity, t.readSupport},
		{"delegation document", identity, t.readDelegation},
		{"not signed in yet", identity, t.askBeforeSignIn},
		{"sign-in page", identity, t.openForm},
		{"wrong password refused", sign, t.signInWrongly},
		{"sign-in", sign, t.signIn},
		{"session", sign, t.readSession},
		{"own page", sign, t.openOwnPage},
		{"cookie kept from the website", protocol, t.visitWithCookie},
		{"website knows who is signed in", website, t.visitAsPerson},
		{"handed over to another website", website, t.visitHandedOver},
		{"key made", protocol, t.makeKey},
		{"certificate requested", sign, t.requestCertificate},
		{"certificate verified", protocol, t.verifyCertificate},
		{"assertion and bundle verified", protocol, t.verifyBundle},
		{"foreign address refused", protocol, t.requestForeign},
		{"include.js for websites", identity, t.readInclude},
		{"shop's page", shop, t.visitShop},
		{"sign-in at the shop", shop, t.signInAtShop},
		{"stolen assertion refused", protocol, t.stealIntoShop},
		{"forged form refused", shop, t.forgeShopForm},
		{"sign-out at the shop", shop, t.signOutOfShop},
		{"sign-out", protocol, t.signOut},
		{"old cookie refused", protocol, t.replayCookie},
		{"websites know of the sign-out", website, t.visitAfterSignOut},
	}
}

// Run takes the steps in order, writes a line for each, and stops at the first that fails: those after it need its
// result. It reports whether all passed.
func Run(ctx context.Context, out io.Writer, steps []Step) bool {
	for i, step := range steps {
		seen, err := step.Do(ctx)
		if ctx.Err() != nil {
			fmt.Fprintf(out, "interrupted at: %s\n", step.Name)
			return false
		}
		if err == nil {
			fmt.Fprintf(out, "✓ %-30s %s\n", step.Name, seen)
			continue
		}
		hint := step.Hint
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) && hinted.Hint() != "" {
			hint = hinted.Hint() + "; " + hint
		}
		fmt.Fprintf(out, "✗ %-30s %v\n  what to do: %s\n", step.Name, err, hint)
		if left := len(steps) - i - 1; left > 0 {
			fmt.Fprintf(out, "  not tried after this: %d steps\n", left)
		}
		return false
	}
	return true
}
