package config

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/website"
)

// DefaultPath is where the configuration is read from when no other path is
// given.
const DefaultPath = "/etc/persona/persona.yaml"

// EnvironmentDirectory is the name of the directory that the PERSONA_LDAP_*
// variables describe.
const EnvironmentDirectory = "ldap"

// Config is a complete, checked configuration. [Load] makes it.
//
// The comment of a field is its text in docs/configuration.md and in
// deploy/persona.example.yaml, and its tags are all that [Load] knows of it (see
// strict.Reader); example is its value in the documentation.
type Config struct {
	// The folder of everything that lasts: the keys of your domains, TLS
	// certificates, the ACME account, the secret of the sign-in cookie. Only the
	// program's user may read it. Back it up: without the keys, certificates that
	// people hold stop being valid.
	StateDir string `yaml:"state_dir" env:"PERSONA_STATE_DIR" as:"path" default:"/var/lib/persona" restart:"yes"`
	// Where the program listens. The container image sets https and http in its
	// environment, to ports that need no privileges: a file for containers leaves
	// both out, because the same key in file and environment is an error.
	Listen Listen `yaml:"listen"`
	// TLS certificates. With mode acme they are obtained and renewed
	// automatically, and running the program agrees to the terms of the
	// certificate authority on your behalf: read them first.
	TLS TLS `yaml:"tls"`
	// Networks, single addresses, or the word private, whose X-Forwarded-For and
	// X-Forwarded-Proto are trusted; none by default. List your own load balancer
	// alone: what it names as the client is what is logged and throttled. The word
	// private trusts every machine with a private address, in a cluster every pod:
	// each of them can choose that address. X-Forwarded-For is read past listed
	// proxies, never past one that is only private, and X-Request-Id and other
	// X-Forwarded- fields are taken from listed proxies alone.
	TrustedProxies Proxies `yaml:"trusted_proxies" env:"PERSONA_TRUSTED_PROXIES" as:"proxy" example:"[192.0.2.10, 198.51.100.0/24]"`
	// How many proxies in a row every request passes, where their addresses cannot
	// be listed: X-Forwarded-For is read past as many. The nearest is one of
	// trusted_proxies.
	TrustedHops int `yaml:"trusted_hops" env:"PERSONA_TRUSTED_HOPS" default:"1" min:"1" max:"10"`
	// Required. The domains that are served. Website and identity can be two
	// hosts, so that no script of the website reaches a password or a key of a
	// person. All names need DNS records that lead to this machine.
	Domains []Domain `yaml:"domains" env:"PERSONA_DOMAIN"`
	// Websites that other servers serve, such as an nginx of yours, and for which those ask
	// here who is signed in. forward-auth.md has what those servers need.
	ForwardAuth []website.Neighbour `yaml:"forward_auth"`
	// Applications that sign people in by OpenID Connect, with the sign-ins of an identity host.
	// The issuer is https://IDENTITY-HOST/persona.
	Apps []website.App `yaml:"apps"`
	// LDAP directories, by a name of your choice. The PERSONA_LDAP_ variables
	// describe one called ldap.
	Directories map[string]Directory `yaml:"directories" env:"PERSONA_LDAP_URLS"`
	// Certificates and sign-ins of the identity hosts.
	Identity Identity `yaml:"identity"`
	// include.js and the dialog, with which websites ask people to sign in.
	Hub Hub `yaml:"hub"`
	// What the servers of websites ask to have an assertion verified.
	Verifier Verifier `yaml:"verifier"`
	// From where the documents of other mail domains may be fetched.
	Lookups Lookups `yaml:"lookups"`
	// What clients may have at once, so that one of them does not take the memory
	// and the website from all others. performance.md has what each costs.
	Limits Limits `yaml:"limits"`
	// Limits on wrong passwords for one account; a client address may fail ten
	// times as often. Stay below your directory's own lock-out, or strangers can
	// lock people out.
	Throttle Throttle `yaml:"throttle"`
	// The program's log, on standard error. Lines that come in numbers are written in tenths of a
	// second, warnings and errors at once; a program that is killed loses that tenth.
	Log Log `yaml:"log"`

	// SecretFiles are the paths of the files that secrets were read from, each
	// once, for looking at their modes.
	SecretFiles []string
	// Warnings are allowed, but probably not intended. They are for the
	// operator's log.
	Warnings []Fault
}

// Listen holds the addresses of the listeners as net.Listen takes them; "" is
// none.
type Listen struct {
	// HTTPS, and ACME's TLS-ALPN challenge. Not opened with tls.mode off.
	HTTPS string `yaml:"https" env:"PERSONA_LISTEN_HTTPS" as:"listen :443" default:":443" restart:"yes"`
	// ACME's HTTP challenge and the redirect to https; "" turns it off.
	HTTP string `yaml:"http" env:"PERSONA_LISTEN_HTTP" as:"listen :80" default:":80" restart:"yes"`
	// Health and metrics: /livez, /readyz, /metrics; "" turns it off. In a pod
	// ":9180", for the probes. It is asked for by an IP address, as localhost, by a
	// name of one label, or by the name that stands here.
	Admin string `yaml:"admin" env:"PERSONA_LISTEN_ADMIN" as:"listen :9180" default:"127.0.0.1:9180" restart:"yes"`
	// Networks, single addresses, or the word private: load balancers that begin each
	// connection to https and http with a PROXY header, of version 1 or 2, which names
	// the client. A connection of theirs without one is cut off; from all others a
	// header is refused.
	ProxyProtocol Proxies `yaml:"proxy_protocol" env:"PERSONA_LISTEN_PROXY_PROTOCOL" as:"proxy" example:"[192.0.2.10]" restart:"yes"`
	// Whether ordinary requests in HTTP/1.1 are served the short way, without Go's HTTP
	// server. The answers are the same both ways; false costs CPU time, and is
	// for finding out whether a fault is of the short way.
	Fast bool `yaml:"fast" env:"PERSONA_LISTEN_FAST" default:"true" restart:"yes"`
	// The port on which clients reach the program, for redirects and origins,
	// where it is another than 443.
	PublicHTTPS int `yaml:"public_https" env:"PERSONA_PUBLIC_HTTPS" default:"443" min:"1" max:"65535"`
}

// Mode is where TLS certificates come from.
type Mode string

// The values of tls.mode.
const (
	ModeACME  Mode = "acme"  // obtained from an ACME server
	ModeFiles Mode = "files" // read from CertFile and KeyFile
	ModeOff   Mode = "off"   // plain HTTP behind a proxy that ends TLS
)

// TLS configures certificates.
type TLS struct {
	// acme: obtained from an ACME server. files: your own, from cert_file and
	// key_file. off: plain HTTP on listen.http, behind a proxy that ends TLS and
	// that trusted_proxies names.
	Mode Mode `yaml:"mode" env:"PERSONA_TLS_MODE" as:"word acme files off" default:"acme"`
	// Certificates in PEM form, the leaf first; read again when the file changes.
	// In mode acme they are served until ACME has succeeded.
	CertFile string `yaml:"cert_file" env:"PERSONA_TLS_CERT_FILE" as:"path" example:"tls.pem"`
	// The private key of cert_file, in PEM form.
	KeyFile string `yaml:"key_file" env:"PERSONA_TLS_KEY_FILE" as:"path" example:"tls-key.pem"`
	// How certificates are obtained in mode acme.
	ACME ACME `yaml:"acme"`
}

// ACME configures how certificates are obtained.
type ACME struct {
	// Where the certificate authority may write to.
	Email string `yaml:"email" env:"PERSONA_ACME_EMAIL" as:"email" example:"admin@example.com"`
	// The URL of the ACME directory; Let's Encrypt's without it. The word staging
	// is Let's Encrypt's staging server, whose certificates browsers do not trust.
	// Try it first, because the real one allows few failures in an hour, and
	// remove the line when everything else works.
	Directory string `yaml:"directory" env:"PERSONA_ACME_DIRECTORY" as:"acme" example:"staging"`
	// Root certificates in PEM form to trust for that server instead of the
	// system's, when it is one of your own.
	Roots *x509.CertPool `yaml:"ca_file" env:"PERSONA_ACME_CA_FILE" as:"roots" example:"acme-ca.pem"`
	// The identifier of the account that the authority gave you, where it demands
	// one (external account binding, RFC 8555 section 7.3.4).
	EABKeyID string `yaml:"eab_key_id" as:"keyID" example:"kid-1"`
	// A file with the MAC key of that account, in base64url.
	EABMACKey Secret `yaml:"eab_mac_key_file" as:"macKeyFile" example:"acme-mac-key"`
}

// Domain is one entry of domains. What it amounts to follows from its fields
// and from the other entries: see [Config.Hosts].
type Domain struct {
	// Required. The host name, which is also the mail domain.
	Name string `yaml:"name" env:"PERSONA_DOMAIN" as:"host" example:"example.com"`
	// The website that requests are passed on to: http:// or https:// with a host,
	// unix: with the path of a socket, or for websites that speak HTTP/2 alone, as
	// gRPC services do, h2c:// in clear text and h2:// over TLS. A domain without one
	// needs directory, authority or disabled.
	Upstream *url.URL `yaml:"upstream" env:"PERSONA_UPSTREAM" as:"upstream" example:"http://127.0.0.1:8081"`
	// How the program and a website at https:// or h2:// trust one another.
	UpstreamTLS UpstreamTLS `yaml:"upstream_tls"`
	// How long the website may take for the next part of a request, and then to
	// begin its answer. An answer that has begun may take as long as it likes.
	UpstreamTimeout time.Duration `yaml:"upstream_timeout" default:"5m" min:"1s" max:"24h"`
	// The connections that the website may have at a time: what its workers can
	// take. Requests beyond it wait for a moment and are then answered 503. 0 is no
	// limit. Each open websocket counts.
	MaxConnections int `yaml:"max_connections" default:"0" min:"0" max:"1000000" example:"200"`
	// The longest head of an answer of the website, in bytes, all fields together; a
	// longer one is answered 502.
	UpstreamHeaderBytes int `yaml:"upstream_header_bytes" default:"65536" min:"8192" max:"1048576"`
	// Also passes header fields to the website whose names hold other characters
	// than letters, digits and hyphens. Many websites take them for other fields, so
	// they are dropped otherwise.
	AllowOddFieldNames bool `yaml:"allow_odd_field_names" default:"false"`
	// Offers HTTP/2 to browsers. A website that asks for NTLM or Negotiate needs
	// false: it signs in connections, and over HTTP/2 all requests share one.
	HTTP2 bool `yaml:"http2" default:"true"`
	// Corrects redirects of the website that name its own scheme and port at a host of this
	// entry: they lead to the address that browsers use.
	RewriteRedirects bool `yaml:"rewrite_redirects" default:"true"`
	// Tells the website who is signed in, in fields of each request: true, or keys below it.
	// The sign-in of an identity host of this file counts, the entry's authority or the
	// domain itself. The website has to be reachable through persona alone. On every host of
	// the entry /persona/login, /persona/logout and /persona/handover are persona's.
	IdentityHeaders website.Headers `yaml:"identity_headers" env:"PERSONA_IDENTITY_HEADERS" as:"switch" example:"true"`
	// Which parts of the website are not for everyone. The first rule that covers the path
	// decides; what none covers is public. It needs an identity host of this file, as
	// identity_headers does. Rules look at the path alone: applications that choose the page by the
	// query (?rest_route=) or by what follows index.php have to be protected as a whole.
	Access []website.Rule `yaml:"access"`
	// Further host names of the website. Nothing is intercepted there, unless the entry has
	// identity_headers or access.
	Hosts []string `yaml:"hosts" env:"PERSONA_HOSTS" as:"hostOrAddress" example:"[www.example.com]"`
	// The directory whose people have addresses of this domain. It makes this an
	// identity host, which signs for its own addresses, for domains whose
	// authority it is, and for certifies.
	Directory string `yaml:"directory" example:"corp"`
	// The host that signs for the addresses of this domain. Together with
	// directory it makes that host, which is the safest layout; without directory
	// it names a host of another entry or of another provider.
	Authority string `yaml:"authority" env:"PERSONA_AUTHORITY" as:"authority" example:"id.example.com"`
	// Mail domains that delegate to this identity host by their own document and
	// are served elsewhere.
	Certifies []string `yaml:"certifies" env:"PERSONA_CERTIFIES" as:"host" example:"[sister.example]"`
	// Strict-Transport-Security, by which browsers ask for a host by HTTPS alone. It is
	// sent over HTTPS for the names of this entry, and for the identity host that it makes.
	// An answer of the website that is stricter keeps its own.
	HSTS HSTS `yaml:"hsts"`
	// Publishes that the domain has no identity provider.
	Disabled bool `yaml:"disabled" default:"false"`
}

// UpstreamTLS is how a website is trusted over TLS, and how the program proves
// itself to it.
type UpstreamTLS struct {
	// Root certificates in PEM form to trust for the website instead of the
	// system's.
	Roots *x509.CertPool `yaml:"ca_file" as:"roots" example:"website-ca.pem"`
	// The name that the website's certificate is for, when it is not the host of
	// upstream.
	ServerName string `yaml:"server_name" as:"host" example:"cms.internal"`
	// A certificate in PEM form for a website that asks for one; read again for
	// each connection.
	ClientCertFile string `yaml:"client_cert_file" as:"path" example:"client.pem"`
	// The private key of client_cert_file, in PEM form.
	ClientKeyFile string `yaml:"client_key_file" as:"path" example:"client-key.pem"`
	// Accepts any certificate of the website: for a test, or on a network where
	// nothing else answers at its address.
	Insecure bool `yaml:"insecure" default:"false"`
}

// HSTS configures Strict-Transport-Security (RFC 6797).
type HSTS struct {
	// For how long a browser remembers it, "0s" for not sending it. Without the key,
	// identity hosts send it, for a year where they have no website and for a week where
	// they have one, and other hosts do not; with tls.mode off no host does. A browser
	// that has seen it reaches the host by no other way until then, and lets no one pass
	// a certificate that it does not trust: choose more when all works.
	MaxAge time.Duration `yaml:"max_age" min:"0s" max:"17520h" example:"8760h"`
	// Also binds every host below: only where all of them speak HTTPS.
	IncludeSubdomains bool `yaml:"include_subdomains" default:"false" example:"true"`

	given bool // max_age is there
}

// Proxies are the proxies whose X-Forwarded-For and X-Forwarded-Proto are used.
type Proxies struct {
	Listed  []netip.Prefix
	Private bool // the word private: loopback, and what is never routed on the Internet
}

// Add takes what one text of the list means.
func (p *Proxies) Add(item any) {
	networks, is := item.([]netip.Prefix) // or the word private
	p.Listed, p.Private = append(p.Listed, networks...), p.Private || !is
}

// Networks returns the networks of all of them.
func (p Proxies) Networks() []netip.Prefix {
	if p.Private {
		return append(kind.Private(), p.Listed...)
	}
	return p.Listed
}

// String lists them, "" for none.
func (p Proxies) String() string {
	var all []string
	if p.Private {
		all = append(all, "every private address")
	}
	for _, network := range p.Listed {
		all = append(all, network.String())
	}
	return strings.Join(all, ", ")
}

// Limits bound what clients may have at once.
type Limits struct {
	// The longest head of a request, in bytes, all fields together; a longer one is
	// answered 431.
	HeaderBytes int `yaml:"header_bytes" default:"65536" min:"8192" max:"1048576" restart:"yes"`
	// The connections of one client, which is an IPv4 address or an IPv6 /56. The
	// idle ones are closed first to make room; without any, a new connection is
	// refused. An address that is not public may be a gateway with many people
	// behind it, and gets half of connections. Those of trusted_proxies count in
	// connections alone.
	ConnectionsPerClient int `yaml:"connections_per_client" default:"256" min:"1" max:"1000000"`
	// The requests of one client that are served at once; more are answered 429. A
	// websocket and an event stream count for as long as they last, so raise it where
	// a whole office keeps one open behind one address. An address that is not public
	// gets half of requests.
	RequestsPerClient int `yaml:"requests_per_client" default:"256" min:"1" max:"1000000"`
	// The connections of all clients; at most as many as a third of the program's
	// memory limit has room for, where there is one.
	Connections int `yaml:"connections" default:"10000" min:"16" max:"1000000"`
	// The requests of all clients that are served at once; more are answered 503. One
	// with a body counts for ten, and for one more for each 16 KiB of it that HTTP/2
	// may have to keep. No client gets more than it leaves free. At most as many as
	// half of the memory limit has room for.
	Requests int `yaml:"requests" default:"4096" min:"64" max:"1000000"`
}

// Log configures the log.
type Log struct {
	// The least level that is logged.
	Level string `yaml:"level" env:"PERSONA_LOG_LEVEL" as:"word debug info warn error" default:"info" restart:"yes"`
	// The form of a line.
	Format Format `yaml:"format" env:"PERSONA_LOG_FORMAT" as:"word json console" default:"json" restart:"yes"`
	// A line for each request. Without it, only requests that failed on our side
	// or the website's leave one.
	Requests bool `yaml:"requests" env:"PERSONA_LOG_REQUESTS" default:"true"`
}

// Format is the form of a log line.
type Format string

// The values of log.format.
const (
	FormatJSON    Format = "json"
	FormatConsole Format = "console"
)
