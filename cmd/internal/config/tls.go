package config

import (
	"encoding/base64"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// staging is Let's Encrypt's server for trying things out: generous limits, and
// certificates that no browser trusts.
const staging = "https://acme-staging-v02.api.letsencrypt.org/directory"

// leastMACKey bounds a MAC key from below, in bytes. HMAC-SHA256 asks for 32 (RFC
// 7518 section 3.2); authorities that hand out fewer exist, a key that was cut is
// shorter still.
const leastMACKey = 16

func (v value) tls(t *TLS) section {
	return v.section(fields{
		"mode": func(v value) {
			t.Mode = Mode(v.word([]string{string(ModeACME), string(ModeFiles), string(ModeOff)}, nil))
		},
		"cert_file": func(v value) { t.CertFile = v.filePath() },
		"key_file":  func(v value) { t.KeyFile = v.filePath() },
		"acme":      func(v value) { v.acme(&t.ACME) },
	})
}

func (v value) acme(a *ACME) {
	s := v.section(fields{
		"email":            func(v value) { a.Email = v.email() },
		"directory":        func(v value) { a.Directory = v.acmeDirectory() },
		"ca_file":          func(v value) { a.Roots = v.roots() },
		"eab_key_id":       func(v value) { a.EABKeyID = v.keyID() },
		"eab_mac_key_file": func(v value) { a.EABMACKey = v.macKeyFile() },
	})
	s.checkPair("eab_key_id", "eab_mac_key_file")
}

// keyID returns the key identifier of an external account binding, an ASCII
// string (RFC 8555 section 7.3.4).
func (v value) keyID() string {
	text, _ := v.text()
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		v.fault(quote(text)+" is not a key identifier", "write it as the authority gave it: ASCII without blanks")
	}
	return text
}

// macKeyFile returns the key of an external account binding, in base64url
// without padding. Authorities hand it out in either alphabet, padded or not.
func (v value) macKeyFile() Secret {
	secret := v.secretFile()
	if secret.Empty() { // a fault was recorded
		return secret
	}
	text := strings.TrimRight(strings.TrimSpace(secret.Reveal()), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	key, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil: // the cause would show a part of the key
		v.fault(fmt.Sprintf("the file %s holds no key in base64url", v.filePath()), "write the MAC key into it as the authority gave it, on one line")
	case len(key) < leastMACKey:
		v.fault(fmt.Sprintf("the key in the file %s has %d bytes only", v.filePath(), len(key)), "write the whole MAC key into it as the authority gave it")
	}
	return NewSecret(text)
}

// checkPair checks that of two keys that belong together both are given, or none.
func (s section) checkPair(one, other string) {
	switch {
	case s.has(one) && !s.has(other):
		s.at(other).missing(s.at(one).name() + " needs it")
	case s.has(other) && !s.has(one):
		s.at(one).missing(s.at(other).name() + " needs it")
	}
}

// email returns an address for a certificate authority, "" for none.
func (v value) email() string {
	text, ok := v.text()
	if !ok || text == "" {
		return ""
	}
	local, domain, found := strings.Cut(text, "@")
	if _, problem, _ := hostName(domain); !found || local == "" || problem != "" || strings.ContainsAny(local, " \t<>,") {
		v.fault(quote(text)+" is not an e-mail address", "write one address, as in admin@example.com")
	}
	return text
}

// acmeDirectory returns the URL of an ACME directory, "" for Let's Encrypt's.
// The word staging stands for that of Let's Encrypt's staging server.
func (v value) acmeDirectory() string {
	text, ok := v.text()
	switch {
	case !ok || text == "":
		return ""
	case text == "staging" || text == staging:
		v.warn("is Let's Encrypt's staging server, whose certificates no browser trusts", "remove the line once everything works")
		return staging
	}
	if u := v.address([]string{"https"}, "https://ca.example.com/acme/directory"); u == nil {
		return ""
	}
	return text
}

// checkTLS looks at what each mode needs of other sections.
func (s section) checkTLS(c *Config, tls, listen section) {
	switch c.TLS.Mode {
	case ModeFiles:
		tls.checkFiles()
	case ModeOff:
		tls.refuseFiles()
		s.checkOff(c, listen)
		return
	case ModeACME:
		tls.checkPair("cert_file", "key_file")
	default: // a fault was recorded
		return
	}
	if c.Listen.HTTPS == "" {
		listen.at("https").fault("is empty", "listen somewhere, or use "+tls.at("mode").setting(string(ModeOff)))
	}
}

func (s section) checkFiles() {
	for _, key := range []string{"cert_file", "key_file"} {
		if !s.has(key) {
			s.at(key).missing(s.at("mode").setting(string(ModeFiles)) + " needs it")
		}
	}
}

// refuseFiles: without TLS there is nothing to serve a certificate with.
func (s section) refuseFiles() {
	for _, key := range []string{"cert_file", "key_file"} {
		if s.has(key) {
			s.at(key).fault("is not read in mode off", "remove it, or use "+s.at("mode").setting(string(ModeFiles)))
		}
	}
}

// checkOff checks that without TLS somebody else is trusted to have ended it.
func (s section) checkOff(c *Config, listen section) {
	if listen.has("https") && c.Listen.HTTPS != "" {
		listen.at("https").warn("is not opened in TLS mode off", "remove it")
	}
	c.Listen.HTTPS = ""
	if c.Listen.HTTP == "" {
		listen.at("http").fault("is empty", "TLS mode off serves plain HTTP there: write :80 or another address")
	}
	if proxies := s.at("trusted_proxies"); !proxies.given() || proxies.node.Kind == yaml.SequenceNode && len(proxies.node.Content) == 0 {
		proxies.fault("names nobody", "TLS mode off needs the address of the proxy that ends TLS, or the word private")
	}
}
