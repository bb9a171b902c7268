package signin

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
)

// trip is where a person came from, and goes on to after the sign-in. It stands in the addresses and forms of all pages
// on the way; the zero trip began here, and ends at the account page.
type trip struct {
	address browserid.Address // that a hub asks for
	// Site is a website on another host that asks who is signed in here, Challenge what it sent along.
	Site, Challenge string
	Return          string // a page of the website on this host
	// Ticket is what an app's sign-in goes by, and app what it means to Config.Waiting.
	Ticket string
	app    Waiting
}

// Waiting is an app that waits for a person.
type Waiting struct {
	Name  string    // as people know it
	Next  string    // the address on the same host that they go on to
	Login string    // whom the app expects, as it is typed; "": it does not say
	After time.Time // a sign-in before this is not enough
}

// App returns the name of the app that waits, or "".
func (t trip) App() string { return t.app.Name }

// tripFields returns the names of the parameters or fields of a trip, and of others.
func tripFields(others ...string) []string {
	return append(others, "email", "site", "challenge", "return", "ticket")
}

// newTrip checks the parameters or fields of a trip.
func (p *Pages) newTrip(r *http.Request, h *identity.Host, fields map[string]string) (t trip, err error) {
	ends := 0
	if text := fields["email"]; text != "" {
		if t.address, err = browserid.ParseAddress(text); err != nil {
			return trip{}, &route.Error{
				Status: http.StatusBadRequest, Code: "bad_address",
				Args: map[string]string{"address": printable.Text(text, 80)}, Cause: err,
			}
		}
		ends++
	}
	if fields["site"] != "" || fields["challenge"] != "" {
		if err := CheckSite(h, fields["site"], fields["challenge"]); err != nil {
			return trip{}, err
		}
		t.Site, t.Challenge = fields["site"], fields["challenge"]
		ends++
	}
	if text, ok := fields["return"]; ok {
		if t.Return, err = route.ReturnPath(text); err != nil {
			return trip{}, err
		}
		ends++
	}
	if text := fields["ticket"]; text != "" && p.Waiting != nil {
		if t.app, err = p.Waiting(r, h, text); err != nil {
			return trip{}, err
		}
		t.Ticket = text
		ends++
	}
	if ends > 1 {
		return trip{}, &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "trips"}
	}
	return t, nil
}

// CheckSite checks who asks a host who is signed in: a website that the configuration ties to it, with the SHA-256 of a
// secret in base64url. Its error leads nowhere.
func CheckSite(h *identity.Host, site, challenge string) error {
	if _, known := h.Sites[site]; !known {
		return &route.Error{Status: http.StatusBadRequest, Code: "unknown_site", Args: map[string]string{"site": printable.Text(site, 80)}}
	}
	if hash, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(challenge) != 43 || len(hash) != 32 {
		return &route.Error{Status: http.StatusBadRequest, Code: "bad_challenge", Args: map[string]string{"site": site}}
	}
	return nil
}

// ForSite returns the address of the sign-in page for a website that [CheckSite] accepts.
func ForSite(site, challenge string) string {
	return trip{Site: site, Challenge: challenge}.at(PathAuthenticate)
}

// ForReturn returns the address of the sign-in page for a page of the website on its host.
func ForReturn(path string) string { return trip{Return: path}.at(PathAuthenticate) }

// ForApp returns the address of the sign-in page for an app, with a ticket that Config.Waiting knows.
func ForApp(ticket string) string { return trip{Ticket: ticket}.at(PathAuthenticate) }

// Email returns the address that a hub asks for, "" when none sent the person.
func (t trip) Email() string { return t.address.String() }

// onward reports that a website or an app waits, and no hub does.
func (t trip) onward() bool { return t.Site != "" || t.Return != "" || t.Ticket != "" }

// at returns the address of a page on the trip.
func (t trip) at(page string) string {
	query := t.query()
	if len(query) == 0 {
		return page
	}
	return page + "?" + query.Encode()
}

// signedIn is the address of the sign-in page after its form was sent with success: the marker tells it so.
func (t trip) signedIn() string {
	query := t.query()
	query.Set("signed_in", "1")
	return PathAuthenticate + "?" + query.Encode()
}

func (t trip) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"email": t.Email(), "site": t.Site, "challenge": t.Challenge, "return": t.Return, "ticket": t.Ticket} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// end is where a person who is signed in goes on to, unless a hub waits.
func (t trip) end() string {
	switch {
	case t.Site != "":
		return route.PathHandover + "?" + url.Values{"host": {t.Site}, "challenge": {t.Challenge}}.Encode()
	case t.Return != "":
		return t.Return
	case t.Ticket != "":
		return t.app.Next
	}
	return PathAccount
}
