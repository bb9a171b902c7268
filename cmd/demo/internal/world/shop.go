package world

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	"persona-sidecar/cmd/demo/internal/website"
	"persona-sidecar/deploy/relying-party/go/site"
)

// anyLoopback is any free port of this machine alone.
const anyLoopback = "127.0.0.1:0"

// shop is the relying party: the example website in Go, on another site than the company's, with TLS of its own.
type shop struct {
	listener net.Listener
	notices  []string
	log      *os.File
	server   *website.Server // nil until it serves
}

// openShop takes the shop's port.
func openShop(ctx context.Context, address string) (*shop, error) {
	address = cmp.Or(address, anyLoopback)
	listener, taken, err := openFree(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("-shop %s: %w (hint: give host:port, such as 127.0.0.1:8444)", address, err)
	}
	return &shop{listener: listener, notices: notice(taken, listener.Addr().String())}, nil
}

func (s *shop) port() string { return strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port) }

func (s *shop) close() error {
	if s.server == nil {
		return s.listener.Close()
	}
	return errors.Join(s.server.Close(), s.log.Close())
}

// startShop serves the shop. It asks the sidecar's verifier over the same TLS as browsers.
func (w *World) startShop(ctx context.Context) error {
	pair, err := w.ca.Issue(Shop)
	if err != nil {
		return err
	}
	certificate, err := pair.TLS()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(w.folder.path(fileShopLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the shop's log: %w", err)
	}
	persona := w.Origin(Host)
	pages, err := site.New(site.Config{
		Persona: persona, Audience: w.ShopOrigin(), Verifier: persona + "/persona/v2",
		Client: w.Client(), Log: log.New(file, "", log.LstdFlags|log.LUTC),
	})
	if err != nil {
		return errors.Join(err, file.Close())
	}
	w.shop.log = file
	w.shop.server = website.Serve(ctx, tls.NewListener(w.shop.listener, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
	}), pages)
	return nil
}
