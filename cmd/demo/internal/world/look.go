package world

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

const requestTimeout = 20 * time.Second

// Origin is the https origin of one of the hosts, with the port.
func (w *World) Origin(host string) string {
	_, port := w.Address()
	return "https://" + net.JoinHostPort(host, port)
}

// PlainOrigin is the http origin of one of the hosts, with the port.
func (w *World) PlainOrigin(host string) string {
	_, port, _ := net.SplitHostPort(w.listen.HTTP) // choose made it, so it has both parts
	return "http://" + net.JoinHostPort(host, port)
}

// ShopOrigin is the https origin of the shop, with the port.
func (w *World) ShopOrigin() string { return "https://" + net.JoinHostPort(Shop, w.shop.port()) }

// Address is the IP address and port at which this machine reaches the https listener.
func (w *World) Address() (ip, port string) {
	ip, port, _ = net.SplitHostPort(w.listen.HTTPS) // choose made it, so it has both parts
	if parsed, err := netip.ParseAddr(ip); err == nil && parsed.IsUnspecified() {
		ip = "127.0.0.1"
	}
	return ip, port
}

// AdminURL is where health and metrics are.
func (w *World) AdminURL() string { return "http://" + w.app.Addr("admin").String() }

// Folder holds everything that the world wrote.
func (w *World) Folder() string { return string(w.folder) }

// ConfigFile is the configuration that persona runs with.
func (w *World) ConfigFile() string { return w.folder.path(fileConfig) }

// CAFile is the throw-away CA's certificate, as PEM.
func (w *World) CAFile() string { return w.folder.path(fileCA) }

// LogFile is the sidecar's log.
func (w *World) LogFile() string { return w.folder.path(fileLog) }

// Client speaks real TLS, trusts the throw-away CA alone, finds every host name of the demo on this machine, follows no
// redirect and keeps no cookie.
func (w *World) Client() *http.Client {
	ip, httpsPort := w.Address()
	dialer := &net.Dialer{}
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.ca.Roots()},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				if port == w.shop.port() {
					return dialer.DialContext(ctx, network, w.shop.listener.Addr().String())
				}
				if port == "443" { // documents name hosts without the demo's port
					port = httpsPort
				}
				return dialer.DialContext(ctx, network, net.JoinHostPort(ip, port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// LogTail returns the last lines of the sidecar's log, for the person who looks for a cause.
func (w *World) LogTail(lines int) ([]string, error) {
	file, err := os.Open(w.LogFile())
	if err != nil {
		return nil, fmt.Errorf("reading the sidecar's log: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	var tail []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			tail = append(tail, line)
		}
		if len(tail) > lines {
			tail = tail[1:]
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading the sidecar's log: %w", err)
	}
	return tail, nil
}
