package world

import "persona-sidecar/cmd/demo/internal/directory"

// The names of the demo's company. Browsers and curl take every name under localhost for this machine (RFC 6761).
const (
	Host       = "example.localhost"     // the website, the identity host and the mail domain
	Alias      = "www.example.localhost" // the same website; no authority over addresses
	Delegate   = "example-two.localhost" // a second mail domain, which delegates to Host
	Shop       = "shop.localhost"        // a website on another site that people sign in to
	baseDN     = "dc=example,dc=localhost"
	mailDomain = "@" + Host
)

// Person is a person to sign in as.
type Person struct {
	Login, Password string
	Addresses       []string // those that can be signed in with and are certified
	Note            string   // what is special about the person, or ""
	Refused         bool     // cannot sign in

	given, family, role string
	otherMail           []string // in the directory, too, and never certified
	state               directory.State
}

// People returns the sample people: two with addresses, one without, who is known to websites alone, and two
// who cannot sign in, each for another reason.
func People() []Person {
	return []Person{
		{
			Login: "alice", given: "Alice", family: "Ashworth", Password: "wonderland", role: "Dials and enamel",
			Addresses: []string{"alice" + mailDomain, "sales" + mailDomain, "alice@" + Delegate},
		},
		{
			Login: "bob", given: "Bob", family: "Brenner", Password: "can-we-fix-it", role: "Wheels and escapements",
			Addresses: []string{"bob" + mailDomain},
		},
		{
			Login: "carol", given: "Carol", family: "Castellan", Password: "night-shift", role: "The night watch",
			Note: "known to websites; only an address elsewhere, so there is none to confirm", otherMail: []string{"carol@mail.example"},
		},
		{
			Login: "dave", given: "Dave", family: "Dahl", Password: "first-day", role: "Apprentice", state: directory.MustChange,
			Refused: true, Note: "has to change the password first", otherMail: []string{"dave" + mailDomain},
		},
		{
			Login: "erin", given: "Erin", family: "Eames", Password: "left-in-may", role: "Formerly springs", state: directory.Locked,
			Refused: true, Note: "the account is locked, which the log alone says", otherMail: []string{"erin" + mailDomain},
		},
	}
}
