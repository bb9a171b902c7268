package gate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
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
	// Peers are the addresses of the servers that serve the website in our place, and ask at
	// route.PathForwardAuth who is signed in; no other may. nil: the website is behind us.
	Peers []netip.Addr

	rules   *access.Table               // Rules, compiled
	pages   *identity.Host              // the host as its pages need it
	answers map[route.Class]http.Header // the fields of what is answered in place of the website
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
	// Peer returns the address that a request's connection comes from, and CanonicalHost a
	// host in any spelling as Site.Host has it, "" for what is none. Both are for Sites with Peers.
	Peer          func(*http.Request) netip.Addr
	CanonicalHost func(host string) string
	Now           func() time.Time
	Rand          io.Reader
	Log           zerolog.Logger
	// Count is told what became of each request to a website: signed_in or anonymous, which
	// go there, or login, or the code of a refusal. nil: no one counts.
	Count func(host, outcome string)
}

// Gate admits requests to websites.
type Gate struct {
	Config
	sites map[string]*Site // by host
	*teller
	outages zerolog.Logger      // a line a minute
	peers   map[netip.Addr]bool // of all sites
	doubts  zerolog.Logger      // about what they ask, a few lines a minute
}

// New checks the rules of the sites.
func New(c Config) (*Gate, error) {
	if c.Count == nil {
		c.Count = func(string, string) {}
	}
	g := &Gate{
		Config: c, sites: make(map[string]*Site, len(c.Sites)), teller: newTeller(c.Assertions, c.Now, c.Log),
		outages: c.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute}),
		peers:   map[netip.Addr]bool{},
		doubts:  c.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute}),
	}
	for i := range c.Sites {
		site := &c.Sites[i]
		var err error
		if site.rules, err = access.Compile(site.Rules); err != nil {
			return nil, fmt.Errorf("the website of %s: %w", site.Host, err)
		}
		site.pages = &identity.Host{Name: site.Host, Origin: site.Origin, Role: identity.Site, Files: site.Authority.Origin, Website: true}
		if site.Authority.Name == site.Host {
			site.pages = site.Authority
		}
		g.sites[site.Host] = site
		for _, peer := range site.Peers {
			g.peers[peer] = true
		}
		site.answers = map[route.Class]http.Header{
			route.Notice: route.Headers(site.pages, route.Notice, nil), route.API: route.Headers(site.pages, route.API, nil),
		}
	}
	return g, nil
}
