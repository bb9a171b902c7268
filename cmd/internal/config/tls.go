package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

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
	v.section(fields{
		"email":            func(v value) { a.Email = v.email() },
		"directory":        func(v value) { a.Directory = v.acmeDirectory() },
		"ca_file":          func(v value) { a.CAFile = v.rootsFile() },
		"eab_key_id":       nil,
		"eab_mac_key_file": nil,
	})
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
func (v value) acmeDirectory() string {
	text, ok := v.text()
	switch {
	case !ok || text == "":
		return ""
	case text == "staging":
		v.fault(quote(text)+" is not available yet", "write the URL: https://acme-staging-v02.api.letsencrypt.org/directory")
		return ""
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
		tls.refuseFiles("is read in mode files alone", "remove it, or use "+tls.at("mode").setting(string(ModeFiles)))
		s.checkOff(c, listen)
		return
	case ModeACME:
		tls.refuseFiles("is not available yet in mode acme", "use "+tls.at("mode").setting(string(ModeFiles)))
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

func (s section) refuseFiles(problem, cure string) {
	for _, key := range []string{"cert_file", "key_file"} {
		if s.has(key) {
			s.at(key).fault(problem, cure)
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
