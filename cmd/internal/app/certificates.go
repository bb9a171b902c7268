package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/proxy/certs"
)

// openCertificates makes the source of certificates that tls.mode names, for the listeners that are
// already open, and starts obtaining and renewing; that goes on in the background until close.
func (a *App) openCertificates(ctx context.Context, open map[string]net.Listener) (certs.Source, error) {
	var names []string
	for _, host := range a.Config.Hosts() {
		names = append(names, host.Name)
	}
	switch a.Config.TLS.Mode {
	case config.ModeFiles:
		return certs.NewFiles(certs.FilesConfig{
			CertFile: a.Config.TLS.CertFile, KeyFile: a.Config.TLS.KeyFile, Names: names, Log: a.Log, Now: a.Now,
		})
	case config.ModeACME:
		acme, err := a.openACME(ctx, open, names)
		if err != nil {
			return nil, err
		}
		if err := acme.Start(ctx); err != nil {
			acme.Close()
			return nil, fmt.Errorf("managing certificates: %w", err)
		}
		return acme, nil
	case config.ModeOff:
		return certs.None{}, nil
	}
	return nil, fmt.Errorf("tls.mode %q is unknown", a.Config.TLS.Mode)
}

func (a *App) openACME(ctx context.Context, open map[string]net.Listener, names []string) (*certs.ACME, error) {
	settings := a.Config.TLS.ACME
	return certs.NewACME(ctx, certs.ACMEConfig{
		Names:       names,
		Storage:     a.store,
		Directory:   settings.Directory,
		Roots:       settings.Roots,
		Email:       settings.Email,
		EABKeyID:    settings.EABKeyID,
		EABMACKey:   settings.EABMACKey.Reveal(),
		CertFile:    a.Config.TLS.CertFile,
		KeyFile:     a.Config.TLS.KeyFile,
		ListenHost:  host(open[listenHTTPS]),
		HTTPPort:    port(open[listenHTTP]),
		TLSALPNPort: port(open[listenHTTPS]),
		Log:         a.Log,
		Public:      verifier.PublicAddress,
		Now:         a.Now,
	})
}

// reportCertificates brings the health of each name's certificate up to date.
func (a *App) reportCertificates(from certs.Source) {
	for _, status := range from.Status() {
		a.health.report("certificate "+status.Name, certificateFault(status, a.Now()))
	}
}

func certificateFault(status certs.Status, now time.Time) error {
	switch {
	case status.NotAfter.IsZero() && status.Problem != "":
		return fmt.Errorf("none yet: %s", status.Problem)
	case status.NotAfter.IsZero():
		return errors.New("none yet")
	case now.After(status.NotAfter):
		return fmt.Errorf("expired on %s", status.NotAfter.UTC().Format(time.RFC3339))
	case status.Problem != "":
		return errors.New(status.Problem)
	}
	return nil
}
