package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/proxy/certs"
)

// certificates is where TLS comes from, whatever the mode.
type certificates interface {
	TLSConfig() *tls.Config
	HasCertificate(host string) bool
	Status() []certs.Status
}

// openCertificates makes the source of certificates that tls.mode names, for the listeners that are
// already open. It is nil in mode off. The work that goes on (obtaining, renewing)
// is returned as a
// function to run until its context ends.
func (a *App) openCertificates(ctx context.Context, open map[string]net.Listener) (certificates, challenge, func(context.Context) error, error) {
	switch a.Config.TLS.Mode {
	case config.ModeFiles:
		files, err := certs.NewFiles(certs.FilesConfig{
			CertFile: a.Config.TLS.CertFile, KeyFile: a.Config.TLS.KeyFile, Log: a.Log, Now: a.Now,
		})
		if err != nil {
			return nil, nil, nil, err
		}
		return files, nil, nothing, nil
	case config.ModeACME:
		acme, err := a.openACME(ctx, open)
		if err != nil {
			return nil, nil, nil, err
		}
		work := func(ctx context.Context) error {
			defer acme.Close()
			if err := acme.Start(ctx); err != nil {
				return fmt.Errorf("managing certificates: %w", err)
			}
			<-ctx.Done()
			return nil
		}
		return acme, acme.HandleHTTPChallenge, work, nil
	case config.ModeOff:
		return nil, nil, nothing, nil
	}
	return nil, nil, nil, fmt.Errorf("tls.mode %q is unknown", a.Config.TLS.Mode)
}

// challenge answers an ACME HTTP-01 challenge, and says whether the request was one.
type challenge func(http.ResponseWriter, *http.Request) bool

func (a *App) openACME(ctx context.Context, open map[string]net.Listener) (*certs.ACME, error) {
	settings := a.Config.TLS.ACME
	roots, err := readRoots(settings.CAFile)
	if err != nil {
		return nil, fmt.Errorf("setting up tls.acme: %w", err)
	}
	var names []string
	for _, host := range a.Config.Hosts() {
		names = append(names, host.Name)
	}
	return certs.NewACME(ctx, certs.ACMEConfig{
		Names:       names,
		Storage:     a.store,
		Directory:   settings.Directory,
		Roots:       roots,
		Email:       settings.Email,
		ListenHost:  host(open[listenHTTPS]),
		HTTPPort:    port(open[listenHTTP]),
		TLSALPNPort: port(open[listenHTTPS]),
		Log:         a.Log,
	})
}

// reportCertificates brings the health of each name's certificate up to date.
func (a *App) reportCertificates(source certificates) {
	if source == nil {
		return
	}
	for _, status := range source.Status() {
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

// nothing is the work of a source of certificates that needs none.
func nothing(context.Context) error { return nil }
