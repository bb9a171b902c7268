package upstream

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// TLSConfig is how the website is trusted, and how the program proves itself to it.
type TLSConfig struct {
	Roots      *x509.CertPool // authorities to trust; nil: the system's
	ServerName string         // the name that the certificate is for; "": the URL's host
	Insecure   bool           // any certificate is accepted
	// CertFile and KeyFile are a certificate in PEM form and its key, for websites
	// that ask for one. They are read for each connection: they may change.
	CertFile, KeyFile string
}

// endpointOf reads where a website listens from its URL.
func endpointOf(cfg Config) (endpoint, error) {
	u := cfg.URL
	to := endpoint{
		network: "tcp", timeout: cmp.Or(cfg.Timeout, DefaultTimeout),
		connections: cfg.Connections, headerBytes: cmp.Or(cfg.HeaderBytes, 64<<10),
	}
	if u == nil {
		return to, errors.New("no URL")
	}
	port := "80"
	switch u.Scheme {
	case "unix":
		path := u.Path
		if u.Host != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(path) {
			return to, errors.New("a unix URL holds an absolute path only, as in unix:/run/website.sock")
		}
		to.network, to.address = "unix", path
		return to, nil
	case "http", "h2c":
	case "https", "h2":
		port = "443"
		settings, err := cfg.TLS.settings(u.Hostname())
		if err != nil {
			return to, err
		}
		to.tls = settings
	default:
		return to, fmt.Errorf("scheme %q is none of http, https, unix, h2c and h2", u.Scheme)
	}
	switch {
	case u.Hostname() == "":
		return to, errors.New("the URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return to, errors.New("the URL may hold a host and a port only")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	to.address = net.JoinHostPort(u.Hostname(), port)
	return to, nil
}

// settings returns what makes the settings of a connection to a host.
func (t TLSConfig) settings(host string) (func() *tls.Config, error) {
	base := &tls.Config{
		RootCAs: t.Roots, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, //nolint:gosec // only when the operator asks for it
		MinVersion: tls.VersionTLS12,
	}
	if base.ServerName == "" {
		base.ServerName = host
	}
	if t.CertFile == "" {
		base.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	} else { // a resumed session would stand for the certificate that it began with
		base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("reading the client certificate for the website: %w", err)
			}
			return &certificate, nil
		}
		if _, err := base.GetClientCertificate(nil); err != nil {
			return nil, err
		}
	}
	return base.Clone, nil
}
