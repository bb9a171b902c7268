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

// source is what a mode of TLS needs of the rest: nothing at all in mode off, where certificates is
// nil.
type source struct {
	certificates certificates
	// challenge answers an ACME HTTP-01 challenge and says whether the request was one; nil: none.
	challenge func(http.ResponseWriter, *http.Request) bool
	close     func()
}

// hasCertificate is the edge's question whether plain HTTP redirects.
func (s source) hasCertificate(host string) bool {
	return s.certificates != nil && s.certificates.HasCertificate(host)
}

// status is the state of each name's certificate; none in mode off.
func (s source) status() []certs.Status {
	if s.certificates == nil {
		return nil
	}
	return s.certificates.Status()
}

// openCertificates makes the source of certificates that tls.mode names, for the listeners that are
// already open, and starts obtaining and renewing; that goes on in the background until close.
func (a *App) openCertificates(ctx context.Context, open map[string]net.Listener) (source, error) {
	switch a.Config.TLS.Mode {
	case config.ModeFiles:
		files, err := certs.NewFiles(certs.FilesConfig{
			CertFile: a.Config.TLS.CertFile, KeyFile: a.Config.TLS.KeyFile, Log: a.Log, Now: a.Now,
		})
		return source{certificates: files, close: func() {}}, err
	case config.ModeACME:
		acme, err := a.openACME(ctx, open)
		if err != nil {
			return source{}, err
		}
		if err := acme.Start(ctx); err != nil {
			acme.Close()
			return source{}, fmt.Errorf("managing certificates: %w", err)
		}
		return source{certificates: acme, challenge: acme.HandleHTTPChallenge, close: acme.Close}, nil
	case config.ModeOff:
		return source{close: func() {}}, nil
	}
	return source{}, fmt.Errorf("tls.mode %q is unknown", a.Config.TLS.Mode)
}

func (a *App) openACME(ctx context.Context, open map[string]net.Listener) (*certs.ACME, error) {
	settings := a.Config.TLS.ACME
	var names []string
	for _, host := range a.Config.Hosts() {
		names = append(names, host.Name)
	}
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
		Now:         a.Now,
	})
}

// reportCertificates brings the health of each name's certificate up to date.
func (a *App) reportCertificates(from source) {
	for _, status := range from.status() {
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
