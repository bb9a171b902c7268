package gate

import (
	"context"
	"io"
	"net/http"
	"time"

	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

// Site is a host whose website is told who is signed in.
type Site struct {
	Host   string // canonical
	Origin string // as browsers name the host
	// Authority is the identity host whose sessions count. It may be the same host: then
	// its own cookie is read, and nothing is handed over.
	Authority *identity.Host
	Rules     access.Rules
	Headers   *Headers // nil: the website gets no identity fields
	// SignOutCookies are cookies by which the application itself keeps people signed in.
	SignOutCookies []Cookie
}

// Cookie names a cookie of the website.
type Cookie struct{ Name, Path string }

// Headers are the fields by which a website is told who is signed in; a name that is ""
// is not sent.
type Headers struct {
	User, Email, Name, Groups, ID, Assertion string // names of fields
	UserIs                                   UserIs
	SendGroups                               []string // names or patterns with a final "*"; nil: all
	GroupSeparator                           string
	NameEncoding                             NameEncoding
	Audience                                 string // of the assertion
}

// UserIs is the fact about a person that the User field carries.
type UserIs string

// The values of UserIs.
const (
	UserIsLogin UserIs = "login" // the directory's own spelling
	UserIsEmail UserIs = "email" // the primary address
	UserIsID    UserIs = "id"    // the immutable id
)

// NameEncoding is how a display name is written.
type NameEncoding string

// The values of NameEncoding.
const (
	NameUTF8            NameEncoding = "utf8"             // as it is
	NamePercent         NameEncoding = "percent"          // RFC 3986, section 2.1
	NameQuotedPrintable NameEncoding = "quoted_printable" // RFC 2045, section 6.7, as are all fields but the assertion
	NameOmit            NameEncoding = "omit"             // left out where it is not ASCII
)

// Verdict is what becomes of a request.
type Verdict int

// The verdicts.
const (
	Admitted Verdict = iota // goes to the website
	Answered                // was answered here
	TooOpen                 // may not be answered in clear text
)

// Admission is the answer of a Gate. All fields but Verdict are for Admitted.
type Admission struct {
	Verdict    Verdict
	Fields     []Field  // identity fields for the website; none: anonymous
	Hidden     []string // names of cookies of the request that the website does not get
	SetCookies []string // Set-Cookie lines that are added to the answer
	Private    bool     // no shared cache may keep the answer
	// Ended returns a channel that is closed when the session ends: tunnels and event streams end with
	// it. The session is watched until the context ends, so call it for them alone. nil: they do not end.
	Ended func(context.Context) <-chan struct{}
}

// Field is a field of a request.
type Field struct{ Name, Value string }

// Config is what a Gate needs.
type Config struct {
	Sites      []Site
	Respond    *route.Responder
	Sessions   *session.Manager
	Assertions *assertion.Issuer
	Sealer     session.Sealer // of the cookie of a sign-in that was begun
	// Path returns the path of a request as it was sent, escapes kept.
	Path func(*http.Request) string
	Now  func() time.Time
	Rand io.Reader
	Log  zerolog.Logger
}

// Gate admits requests to websites.
type Gate struct {
	Config
	sites  map[string]*Site // by host
	teller *teller
}

// New checks the sites.
func New(c Config) (*Gate, error) {
	g := &Gate{Config: c, sites: make(map[string]*Site, len(c.Sites)), teller: newTeller(c.Assertions, c.Now, c.Log)}
	for i := range c.Sites {
		g.sites[c.Sites[i].Host] = &c.Sites[i]
	}
	return g, nil
}

// Admit decides about a request to the website of a host. It is called for hosts that are
// a Site alone. secure reports whether the client came by HTTPS.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request, host string, secure bool) Admission {
	return Admission{}
}
