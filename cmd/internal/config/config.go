package config

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"time"
)

// DefaultPath is where the configuration lies when no other path is given.
const DefaultPath = "/etc/persona/persona.yaml"

// Config is a whole, checked configuration. [Load] makes it; the zero value is
// not usable.
type Config struct {
	// StateDir is the folder of all lasting things: TLS certificates, the ACME
	// account, domain keys, the cookie secret. Default /var/lib/persona.
	StateDir string
	Listen   Listen
	TLS      TLS
	// TrustedProxies are the networks whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. Nobody by default. The word "private" of
	// the file stands here as the networks that it means.
	TrustedProxies []netip.Prefix
	// Domains are the entries of the file in their order. [Config.Hosts] says
	// which host names they amount to.
	Domains []Domain
	// Directories by their name. An environment without a file makes one, called
	// [EnvironmentDirectory].
	Directories map[string]Directory
	Identity    Identity
	Lookups     Lookups
	Hub         Hub
	Verifier    Verifier
	Throttle    Throttle
	Log         Log
	// SecretFiles are the paths of the files that secrets were read from, each
	// once, for looking at their modes.
	SecretFiles []string
	// Warnings are allowed, but probably not intended. They are for the
	// operator's log.
	Warnings []Fault
}

// EnvironmentDirectory is the name of the directory that the PERSONA_LDAP_*
// variables describe.
const EnvironmentDirectory = "ldap"

// Listen holds the addresses of the listeners, each as net.Listen takes it
// (host may be empty, port may be 0).
type Listen struct {
	HTTPS string // ":443" by default; always "" in [ModeOff]
	HTTP  string // ":80" by default; "" for none
	Admin string // "127.0.0.1:9180" by default; "" for none
	// PublicHTTPS is the port that the world sees, for redirects and origins:
	// 443 unless configured.
	PublicHTTPS int
}

// Mode says where TLS certificates come from.
type Mode string

// The modes of tls.mode.
const (
	ModeACME  Mode = "acme"  // obtained from an ACME server, the default
	ModeFiles Mode = "files" // read from CertFile and KeyFile
	ModeOff   Mode = "off"   // plain HTTP behind another terminator
)

// TLS configures certificates.
type TLS struct {
	Mode Mode
	// CertFile and KeyFile are given in ModeFiles, and may be in ModeACME, where
	// they are served for a name until it has a certificate by ACME.
	CertFile string // PEM chain, leaf first
	KeyFile  string // PEM private key
	ACME     ACME   // ModeACME only
}

// ACME configures how certificates are obtained.
type ACME struct {
	Email     string         // contact of the account; may be ""
	Directory string         // https URL of the ACME directory; "" for Let's Encrypt
	Roots     *x509.CertPool // to trust for that directory; nil for the system's
	// EABKeyID and EABMACKey bind the account to one that the operator has with
	// the authority (RFC 8555 section 7.3.4). Both or neither.
	EABKeyID  string
	EABMACKey Secret // base64url without padding
}

// Domain is one entry of domains: a host name that is served and a mail domain.
// Its part follows from its fields; [Config.Hosts] works it out.
type Domain struct {
	Name      string   // canonical host name
	Upstream  *url.URL // http or https, host and port only; nil for none
	Hosts     []string // further host names for the same upstream
	Directory string   // a key of Config.Directories, or ""
	Authority string   // canonical host name that the domain delegates to, or ""
	Certifies []string // mail domains signed for that are not served
	Disabled  bool
}

// Preset names the schema that a directory follows.
type Preset string

// The presets of this release.
const (
	PresetOpenLDAP Preset = "openldap"
	PresetCustom   Preset = "custom" // all four schema fields are given
)

// Directory is one LDAP directory.
type Directory struct {
	Preset            Preset
	URLs              []string       // ldap:// or ldaps://, in the order to try; at least one
	StartTLS          bool           // for the ldap:// URLs
	InsecurePlaintext bool           // ldap:// without StartTLS was asked for
	Roots             *x509.CertPool // nil for the system's
	BindDN            string         // "" for anonymous searches
	BindPassword      Secret         // empty exactly when BindDN is
	BaseDN            string

	// The schema. With PresetCustom all are set. With another preset, those that
	// are set override it.
	UserFilter        string
	LoginAttributes   []string
	AddressAttributes []string
	IDAttribute       string
}

// Identity bounds what an identity host gives out.
type Identity struct {
	CertificateLifetime time.Duration // 1 min to 24 h; default 1 h
	SessionLifetime     time.Duration // 5 min to 168 h, absolute; default 8 h
	// Hubs are base URLs, without a final slash, of hubs that may frame the
	// provisioning page. Each is on the site of an identity host; [Host.Hubs]
	// has them sorted out.
	Hubs []string
	// LegacyClientKeys certifies and believes the keys of historic browsers,
	// too: DSA, and RSA of 1024 bit.
	LegacyClientKeys bool
}

// Throttle bounds guessing of passwords, for each account. A client address may
// fail ten times as often.
type Throttle struct {
	Failures int           // 1 to 100; default 4
	Window   time.Duration // 1 min to 24 h; default 10 min
}

// Log says how to log.
type Log struct {
	Level  string // debug, info (default), warn or error
	Format Format
}

// Format is the form of a log line.
type Format string

// The formats of log.format.
const (
	FormatJSON    Format = "json" // the default
	FormatConsole Format = "console"
)
