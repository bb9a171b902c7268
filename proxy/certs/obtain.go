package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// loadLimit is how long Start waits for the stored certificates. They are read
// in milliseconds; only the OCSP responder of a certificate that names one can
// make it longer, and nobody waits for that.
const loadLimit = time.Second

// RetryDelay is the pause after the given number of failures in a row to obtain
// a first certificate: from one minute up to one hour. Only the first attempt
// goes to Let's Encrypt's real server; the following ones are tried on its
// staging server first, so that they do not use up the few failures an hour that
// Let's Encrypt allows.
func RetryDelay(failures int) time.Duration {
	minutes := []time.Duration{1, 2, 2, 5, 10, 10, 10, 20, 20, 30}
	if failures < 1 {
		failures = 1
	}
	if failures > len(minutes) {
		return time.Hour
	}
	return minutes[failures-1] * time.Minute
}

// Start loads what is stored and begins to obtain what is missing, in the
// background, until ctx ends or Close is called. It waits for nothing on the
// network. The listeners of the challenges must be open.
//
// First certificates are obtained by a loop of our own around certmagic's
// single foreground attempt instead of by ManageAsync, whose pauses cannot be
// set, grow to six hours and which gives up after 30 days. The certificate is then
// handed to certmagic's cache, whose maintenance renews it; nothing of that is
// ours.
func (a *ACME) Start(ctx context.Context) error {
	ctx, err := a.begin(ctx)
	if err != nil {
		return err
	}
	var loads sync.WaitGroup
	loads.Add(len(a.names))
	for _, name := range a.names {
		a.work.Go(func() { a.manage(ctx, name, loads.Done) })
	}
	loaded := make(chan struct{})
	a.work.Go(func() {
		loads.Wait()
		close(loaded)
		a.renewOverdue(ctx)
	})
	limit := time.NewTimer(loadLimit)
	defer limit.Stop()
	select {
	case <-loaded:
	case <-limit.C:
	case <-ctx.Done():
	}
	return nil
}

// renewOverdue renews what fell due while the program did not run, without
// waiting for the next check. It asks the ACME server for its suggested times,
// hence the background.
func (a *ACME) renewOverdue(ctx context.Context) {
	if err := a.cache.RenewManagedCertificates(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn().Err(err).Msg("looking for certificates to renew")
	}
}

func (a *ACME) begin(ctx context.Context) (context.Context, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.cancel != nil {
		return nil, errors.New("starting to obtain certificates: already started or closed")
	}
	ctx, a.cancel = context.WithCancel(ctx)
	return ctx, nil
}

// Close ends all work and waits for it. Handshakes that are under way still
// finish. It may be called more than once, and without Start.
func (a *ACME) Close() {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	a.closed = true
	cancel := a.cancel
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	a.work.Wait()
	a.cache.Stop()
}

// manage loads or obtains the certificate for name and returns when it is in
// use, from where on certmagic renews it. It calls loaded once the storage was
// looked at.
func (a *ACME) manage(ctx context.Context, name string, loaded func()) {
	err := a.load(ctx, name)
	loaded()
	if err == nil {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		a.work.Go(func() { a.tellAddresses(ctx, name) })
	}
	for failures := 0; ctx.Err() == nil; {
		err := a.obtain(ctx, name, failures)
		if err == nil {
			a.states[name].succeed()
			a.log.Info().Str("domain", name).Time("not_after", a.notAfter(name)).Msg("certificate obtained")
			return
		}
		failures++
		if !a.pause(ctx, name, err, failures) {
			return
		}
	}
}

// load takes a stored certificate into use. fs.ErrNotExist: there is none.
func (a *ACME) load(ctx context.Context, name string) error {
	_, err := a.config.CacheManagedCertificate(ctx, name)
	if err != nil {
		return err
	}
	a.states[name].succeed()
	return nil
}

// obtain makes one attempt. A damaged certificate in the storage is an error:
// it is never overwritten.
func (a *ACME) obtain(ctx context.Context, name string, failures int) error {
	ctx = context.WithValue(ctx, certmagic.AttemptsCtxKey, &failures)
	if err := a.config.ObtainCertSync(ctx, name); err != nil {
		return err
	}
	if err := a.load(ctx, name); err != nil {
		return &storedError{path: certmagic.StorageKeys.CertsSitePrefix(a.issuer.IssuerKey(), name), err: err}
	}
	return nil
}

// pause records and logs a failure, then waits. It returns false when ctx ended.
func (a *ACME) pause(ctx context.Context, name string, cause error, failures int) bool {
	if ctx.Err() != nil {
		return false
	}
	delay := a.retryDelay(failures)
	a.states[name].fail(cause.Error(), time.Now().Add(delay))
	a.log.Error().Err(cause).Str("domain", name).Str("acme_directory", a.directory).
		Int("attempt", failures).Stringer("retry_in", delay).Str("hint", hint(cause)).
		Msg("no certificate obtained")
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// onEvent follows the renewals, which certmagic does by itself.
func (a *ACME) onEvent(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	state := a.states[name]
	if renewal, _ := data["renewal"].(bool); !renewal || state == nil {
		return nil
	}
	switch event {
	case "cert_obtained":
		state.succeed()
		a.log.Info().Str("domain", name).Msg("certificate renewed")
	case "cert_failed":
		cause, _ := data["error"].(error)
		if cause == nil || ctx.Err() != nil {
			return nil
		}
		state.fail(cause.Error(), time.Time{})
		a.log.Error().Err(cause).Str("domain", name).Str("acme_directory", a.directory).
			Time("not_after", a.notAfter(name)).Str("hint", hint(cause)).
			Msg("certificate not renewed")
	}
	return nil
}

// isStored looks for a certificate and its key in the storage, without a lock
// and without the network. One that has expired counts: it was usable.
func (a *ACME) isStored(ctx context.Context, name string) bool {
	issuer := a.issuer.IssuerKey()
	cert, err := a.config.Storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, name))
	if err != nil {
		return false
	}
	key, err := a.config.Storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, name))
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(cert, key)
	return err == nil && pair.Leaf.VerifyHostname(name) == nil
}

// tellAddresses logs where a name points that is about to get its first
// certificate: a name that points elsewhere is the most frequent reason for a
// refusal, and each refusal counts against the limits of a public server.
func (a *ACME) tellAddresses(ctx context.Context, name string) {
	if neverInDNS(name) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := a.lookup(ctx, name)
	if ctx.Err() != nil && err != nil {
		return
	}
	if err != nil {
		a.log.Warn().Err(err).Str("domain", name).
			Str("hint", "make an A or AAAA record for this name that leads here; the ACME server must find it").
			Msg("the DNS gives no address for this name")
		return
	}
	a.log.Info().Str("domain", name).Strs("points_to", addressStrings(addrs)).
		Msg("asking for a certificate; the ACME server will connect to these addresses")
}

func lookupDNS(ctx context.Context, name string) ([]netip.Addr, error) {
	// The Go resolver obeys the context; the C library's does not.
	resolver := net.Resolver{PreferGo: true}
	addrs, err := resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", name, err)
	}
	return addrs, nil
}

// neverInDNS reports whether name is under a top-level domain that RFC 6761
// keeps out of the DNS.
func neverInDNS(name string) bool {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "test", "localhost", "invalid", "example":
		return true
	}
	return false
}

func addressStrings(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.Unmap().String()
	}
	return texts
}
