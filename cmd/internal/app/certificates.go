package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/proxy/certs"
)

// certificates are the TLS certificates of all generations. A reload that changes neither the TLS
// settings nor the names leaves the source in place, with its orders and its pauses between them.
type certificates struct {
	// listeners are those that answer the challenges.
	listeners map[string]net.Listener
	current   atomic.Pointer[certificateSource]
}

// certificateSource is a source with the settings that it was made from.
type certificateSource struct {
	certs.Source
	tls      *tls.Config
	settings config.TLS
	names    []string
}

// status is the state of each name's certificate.
func (c *certificates) status() []certs.Status { return c.current.Load().Status() }

// prepare returns the source for a generation: the current one where nothing has changed, else a new
// one, which use starts.
func (c *certificates) prepare(ctx context.Context, g *generation) (*certificateSource, error) {
	settings, names := g.config.TLS, slices.Sorted(slices.Values(g.names()))
	if now := c.current.Load(); now != nil && sameTLS(now.settings, settings) && slices.Equal(now.names, names) {
		return now, nil
	}
	source, err := c.open(ctx, g)
	if err != nil {
		return nil, err
	}
	return &certificateSource{Source: source, tls: source.TLSConfig(), settings: settings, names: names}, nil
}

// use makes a prepared source the current one and starts it; its work goes on until ctx ends. The source
// before is closed first, so that an order under way does not count as a failure; handshakes take their
// certificates from it until the new one has loaded its own.
func (c *certificates) use(ctx context.Context, next *certificateSource) error {
	before := c.current.Load()
	if before == next {
		return nil
	}
	if before != nil {
		before.Close()
	}
	if acme, ok := next.Source.(*certs.ACME); ok {
		if err := acme.Start(ctx); err != nil {
			acme.Close()
			return fmt.Errorf("managing certificates: %w", err)
		}
	}
	c.current.Store(next)
	return nil
}

// sameTLS reports whether two settings are equal, secrets and roots included.
func sameTLS(a, b config.TLS) bool {
	secret := a.ACME.EABMACKey.Reveal() == b.ACME.EABMACKey.Reveal()
	roots := a.ACME.Roots.Equal(b.ACME.Roots)
	a.ACME.EABMACKey, b.ACME.EABMACKey = config.Secret{}, config.Secret{}
	a.ACME.Roots, b.ACME.Roots = nil, nil
	return a == b && secret && roots
}

// open makes the source that tls.mode names, for the listeners that are already open.
func (c *certificates) open(ctx context.Context, g *generation) (certs.Source, error) {
	settings := g.config.TLS
	switch settings.Mode {
	case config.ModeFiles:
		return certs.NewFiles(certs.FilesConfig{
			CertFile: settings.CertFile, KeyFile: settings.KeyFile, Names: g.names(), Log: g.log, Now: g.now,
		})
	case config.ModeACME:
		host, tlsPort := address(c.listeners[listenHTTPS])
		_, httpPort := address(c.listeners[listenHTTP])
		return certs.NewACME(ctx, certs.ACMEConfig{
			Names:       g.names(),
			Storage:     g.store,
			Directory:   settings.ACME.Directory,
			Roots:       settings.ACME.Roots,
			Email:       settings.ACME.Email,
			EABKeyID:    settings.ACME.EABKeyID,
			EABMACKey:   settings.ACME.EABMACKey.Reveal(),
			CertFile:    settings.CertFile,
			KeyFile:     settings.KeyFile,
			ListenHost:  host,
			HTTPPort:    httpPort,
			TLSALPNPort: tlsPort,
			Log:         g.log,
			Public:      verifier.PublicAddress,
			Now:         g.now,
		})
	case config.ModeOff:
		return certs.None{}, nil
	}
	return nil, fmt.Errorf("tls.mode %q is unknown", settings.Mode)
}

// reportCertificates brings the health of each name's certificate up to date.
func (a *App) reportCertificates() {
	parts := map[string]bool{}
	for _, status := range a.certificates.status() {
		var fault error
		switch {
		case status.NotAfter.IsZero() && status.Problem != "":
			fault = fmt.Errorf("none yet: %s", status.Problem)
		case status.NotAfter.IsZero():
			fault = errors.New("none yet")
		case a.now().After(status.NotAfter):
			fault = fmt.Errorf("expired on %s", status.NotAfter.UTC().Format(time.RFC3339))
		case status.Problem != "":
			fault = errors.New(status.Problem)
		}
		part := "certificate " + status.Name
		a.health.report(part, fault)
		parts[part] = true
	}
	a.health.keep("certificate ", parts)
}
