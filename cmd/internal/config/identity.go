package config

import (
	"crypto/x509"
	"net/netip"
	"reflect"
	"time"
)

// Preset names the schema that a directory follows.
type Preset string

// The values of preset.
const (
	PresetOpenLDAP        Preset = "openldap"
	PresetActiveDirectory Preset = "activedirectory"
	PresetCustom          Preset = "custom" // all four schema fields are given
)

// Directory is one LDAP directory.
type Directory struct {
	// Required. The schema of the directory; custom needs user_filter, login_attributes,
	// address_attributes and id_attribute.
	Preset Preset `yaml:"preset" env:"PERSONA_LDAP_PRESET" as:"word activedirectory freeipa openldap 389ds lldap authentik univention google glauth kanidm synology jumpcloud okta custom" example:"openldap"`
	// Servers with the same content, in the order to try. Each address of a name is
	// one. Either this or srv is required.
	URLs []string `yaml:"urls" env:"PERSONA_LDAP_URLS" as:"ldap" example:"[ldaps://ldap1.example.com, ldap://ldap2.example.com]"`
	// A domain whose servers DNS lists, instead of urls: _ldap._tcp of it, or
	// _ldaps._tcp with ldaps:// before it. They are looked up again every minute. Their
	// names must be below the domain, or in their certificates tls_server_name.
	SRV string `yaml:"srv" as:"srv" example:"ldaps://example.com"`
	// Encrypts ldap:// connections before anything is sent; ldaps:// needs nothing.
	StartTLS bool `yaml:"start_tls" env:"PERSONA_LDAP_START_TLS" default:"false" example:"true"`
	// Allows ldap:// without encryption, which sends passwords in clear text: for
	// a test alone.
	InsecurePlaintext bool `yaml:"insecure_plaintext" env:"PERSONA_LDAP_INSECURE_PLAINTEXT" default:"false"`
	// Root certificates in PEM form to trust for the servers instead of the
	// system's.
	Roots *x509.CertPool `yaml:"ca_file" env:"PERSONA_LDAP_CA_FILE" as:"roots" example:"directory-ca.pem"`
	// The name that the servers' certificates are for, when it is not the host in
	// urls: that of a load balancer, for example.
	TLSServerName string `yaml:"tls_server_name" as:"host" example:"ldap.example.com"`
	// A certificate in PEM form for servers that ask for one; read again for each
	// connection.
	ClientCertFile string `yaml:"client_cert_file" as:"path" example:"client.pem"`
	// The private key of client_cert_file, in PEM form.
	ClientKeyFile string `yaml:"client_key_file" as:"path" example:"client-key.pem"`
	// The entry that persona binds as to search the directory. It needs to read
	// people and their addresses, and nothing else. Active Directory also takes
	// idp@ad.example.com and DOMAIN\idp. Without it searches are anonymous.
	BindDN string `yaml:"bind_dn" env:"PERSONA_LDAP_BIND_DN" as:"bindName" example:"cn=persona,ou=services,dc=example,dc=com"`
	// The password of bind_dn. A file is read again when a server refuses the
	// password, which is then used at once. One that has not changed is not tried
	// again for 5 minutes, so that the account is not locked.
	BindPassword Secret `yaml:"bind_password" env:"PERSONA_LDAP_BIND_PASSWORD" example:"/run/credentials/persona.service/ldap_password"`
	// Required. The entry below which people are searched, and all holders of
	// addresses; or a list of such entries, none below another. The empty text is
	// all that a server has, for the global catalogue of Active Directory
	// (ldaps://HOST:3269).
	BaseDNs []string `yaml:"base_dn" env:"PERSONA_LDAP_BASE_DN" as:"base" example:"dc=example,dc=com"`
	// Which entries are people, instead of the preset's filter.
	UserFilter string `yaml:"user_filter" as:"filter" example:"(objectClass=inetOrgPerson)"`
	// Which of them may not sign in, beside what the preset knows of accounts that
	// are disabled.
	DisabledFilter string `yaml:"disabled_filter" as:"filter" example:"(employeeType=former)"`
	// The attributes with what people type to sign in, instead of the preset's.
	LoginAttributes []string `yaml:"login_attributes" as:"attribute" example:"[uid, mail]"`
	// The attributes with people's addresses, instead of the preset's. An address
	// counts when no other entry has it. Leave out attributes that people can
	// write themselves: those prove nothing.
	AddressAttributes []string `yaml:"address_attributes" as:"attribute" example:"[mail]"`
	// Presets lldap and authentik: says that people cannot change their address by
	// themselves. Without it no address counts, because there they can.
	MailIsAdminOnly bool `yaml:"mail_is_admin_only" default:"false"`
	// Entries that do not count when a second holder of an address is looked for:
	// contacts, second accounts of administrators.
	IgnoreHolders string `yaml:"ignore_holders" as:"filter" example:"(objectClass=contact)"`
	// The attribute that identifies an entry and never changes, instead of the
	// preset's.
	IDAttribute string `yaml:"id_attribute" as:"attribute" example:"entryUUID"`
	// How id_attribute is written, instead of the preset's: text, guid as Active
	// Directory's objectGUID, or hex for any other bytes.
	IDFormat string `yaml:"id_format" as:"word text guid hex"`
	// The attribute with the time of the last change of the password, instead of
	// the preset's: sessions that are older end.
	PasswordTimeAttribute string `yaml:"password_time_attribute" as:"attribute" example:"pwdChangedTime"`
	// The group that people have to be in, directly or through other groups: its DN,
	// or its cn where no other group has that. By default all people may sign in.
	RequiredGroup string `yaml:"required_group" env:"PERSONA_LDAP_REQUIRED_GROUP" as:"group" example:"cn=staff,ou=groups,dc=example,dc=com"`
	// Where people change their password: on a page elsewhere, or on one of the
	// identity host. Not for an identity host that shares its origin with a website.
	PasswordChange PasswordChange `yaml:"password_change"`
}

// Equal reports whether two directories have the same settings, and read the same secrets and certificates of
// authorities from files.
func (d Directory) Equal(other Directory) bool {
	roots := d.Roots.Equal(other.Roots)
	d.Roots, other.Roots = nil, nil
	return roots && reflect.DeepEqual(d, other)
}

// PasswordChange says where people change their password.
type PasswordChange struct {
	// A page elsewhere. Sign-in and account page lead there, and people whose
	// password has expired.
	URL string `yaml:"url" as:"page" example:"https://password.example.com"`
	// Instead of url, a page of the identity host, where the directory changes the
	// password by RFC 3062. Active Directory does not know that. Connections to the
	// directory have to be encrypted.
	Method string `yaml:"method" as:"word rfc3062" example:"rfc3062"`
}

// Identity bounds what an identity host issues.
type Identity struct {
	// The lifetime of a certificate that a browser holds.
	CertificateLifetime time.Duration `yaml:"certificate_lifetime" default:"1h" min:"1m" max:"24h"`
	// How long a sign-in lasts. On a shared computer it ends after 30 minutes
	// without use, and after 2 hours in any case. With a directory that shows only
	// at the next sign-in that a person is suspended (presets google, jumpcloud,
	// kanidm, okta) it lasts one hour at most.
	SessionLifetime time.Duration `yaml:"session_lifetime" default:"8h" min:"5m" max:"168h"`
	// Base URLs of other hubs on the same site that may frame the provisioning
	// page.
	Hubs []string `yaml:"hubs" as:"hub" example:"[https://hub.example.com/persona]"`
	// Also certifies and accepts the keys that browsers of 2012 made: DSA, and
	// RSA of 1024 or 1023 bits. They are weak: for old clients alone.
	LegacyClientKeys bool `yaml:"legacy_client_keys" default:"false"`
}

// Hub configures what identity hosts offer to websites.
type Hub struct {
	// Serves include.js and the dialog.
	Enabled bool `yaml:"enabled" default:"true"`
	// The websites that may use them: origins, https://*.example.com for every
	// host below example.com, or "*" for all. By default https sites on the default
	// port whose host is one of those served here or below it.
	RelyingParties []string `yaml:"relying_parties" as:"relyingParty" example:"[https://example.com, \"https://*.example.com\"]"`
}

// Verifier configures /persona/verify and /persona/v2.
type Verifier struct {
	// Answers /persona/verify and /persona/v2.
	Enabled bool `yaml:"enabled" default:"true"`
	// The mail domains whose addresses are accepted, or "*" for all, which accepts
	// any mail domain. By default those that are signed for here.
	Domains []string `yaml:"domains" as:"mailDomain" example:"[example.com]"`
	// The requests that one caller may send in a second; more are answered 503.
	Rate int `yaml:"rate" default:"100" min:"1" max:"1000000"`
	// Accepts each assertion once. The memory is this process's.
	Once bool `yaml:"once" default:"false"`
}

// Lookups bound where other domains' documents are fetched from.
type Lookups struct {
	// Networks, the word private, or host names that may be asked although their
	// addresses are private: those of your own other identity providers.
	AllowPrivate Private `yaml:"allow_private" as:"private" example:"[10.1.0.0/16, id.partner.example]"`
	// The ports that may be asked.
	Ports []int `yaml:"ports" default:"443" min:"1" max:"65535"`
	// Root certificates in PEM form to trust there besides the system's, and at
	// apps[].backchannel_logout_uri.
	Roots *x509.CertPool `yaml:"ca_file" as:"moreRoots" example:"lookups-ca.pem"`
}

// Private holds networks, and host names that may resolve to private addresses.
type Private struct {
	Networks []netip.Prefix
	Names    []string
}

// Add takes what one text of the list means.
func (p *Private) Add(item any) {
	switch item := item.(type) {
	case []netip.Prefix:
		p.Networks = append(p.Networks, item...)
	case string:
		p.Names = append(p.Names, item)
	}
}

// Throttle bounds password guessing.
type Throttle struct {
	// Wrong passwords for one account within window.
	Failures int `yaml:"failures" default:"4" min:"1" max:"100"`
	// The time in which they are counted.
	Window time.Duration `yaml:"window" default:"10m" min:"1m" max:"24h"`
}
