package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// loadLimit is how long Start waits for the stored certificates. They are read
// in milliseconds; only the OCSP responder of a certificate that names one can
// make it longer, and that is not waited for.
const loadLimit = time.Second

// rateLimitedAs is how many failures a rate-limit answer counts as, at least.
const rateLimitedAs = 6

// weight returns the number of failures in a row to pause for.
func weight(failures int, cause error) int {
	if problem, ok := errors.AsType[acme.Problem](cause); ok && problem.Type == acme.ProblemTypeRateLimited {
		return max(failures, rateLimitedAs)
	}
	return failures
}

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
	a.mu.Lock()
	if a.closed || a.cancel != nil {
		a.mu.Unlock()
		return errors.New("starting to obtain certificates: already started or closed")
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.mu.Unlock()
	var loads sync.WaitGroup
	loads.Add(len(a.names))
	for _, name := range a.names {
		a.work.Go(func() { a.manage(ctx, name, loads.Done) })
	}
	loaded := make(chan struct{})
	a.work.Go(func() {
		loads.Wait()
		close(loaded)
		// What fell due while the program did not run is renewed now, not at the next
		// check. This asks the ACME server for its suggested times, so Start does not
		// wait for it.
		if err := a.cache.RenewManagedCertificates(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn().Err(err).Msg("looking for certificates to renew")
		}
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
	failed := a.orders.load(ctx, name)
	again := a.nextAttempt(failed)
	a.states[name].deferUntil(again)
	err := a.load(ctx, name)
	if err == nil && !again.IsZero() {
		a.states[name].fail(failed.cause(), again)
	}
	loaded()
	if err == nil {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		a.tellAddresses(ctx, name)
	}
	if !a.waitBackoff(ctx, name, failed) {
		return
	}
	for failures := failed.Count; ctx.Err() == nil; {
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
	cert, err := a.config.CacheManagedCertificate(ctx, name)
	if err != nil {
		return err
	}
	if leaf, now := cert.Leaf, a.now(); leaf != nil && now.Before(leaf.NotBefore) {
		a.log.Warn().Str("domain", name).Time("not_before", leaf.NotBefore).Time("now", now).
			Str("hint", "check this machine's clock").Msg("the certificate is not valid yet")
	}
	a.states[name].succeed()
	return nil
}

// obtain makes one attempt, and records it. A damaged certificate in the storage is
// an error: it is never overwritten.
func (a *ACME) obtain(ctx context.Context, name string, failures int) error {
	end, err := a.orders.begin(ctx, name)
	if err != nil {
		return err
	}
	err = a.config.ObtainCertSync(context.WithValue(ctx, certmagic.AttemptsCtxKey, &failures), name)
	if err == nil {
		if err = a.load(ctx, name); err != nil {
			err = &storedError{path: certmagic.StorageKeys.CertsSitePrefix(a.issuer.IssuerKey(), name), err: err}
		}
	}
	end(err)
	return err
}

// nextAttempt returns when a name may be asked for again after the failures that an
// earlier run of the program has recorded; zero: at once. A clock that was ahead
// then holds nothing up longer than a failure now would.
func (a *ACME) nextAttempt(failed failedOrders) time.Time {
	if failed.Count == 0 {
		return time.Time{}
	}
	now, delay := a.now(), a.retryDelay(failed.Count)
	again := failed.Last.Add(delay)
	switch {
	case !again.After(now):
		return time.Time{}
	case again.After(now.Add(delay)):
		return now.Add(delay)
	}
	return again
}

// waitBackoff waits until a name may be asked for after failures that were recorded
// before the start. It returns false when ctx ended.
func (a *ACME) waitBackoff(ctx context.Context, name string, failed failedOrders) bool {
	again := a.nextAttempt(failed)
	if again.IsZero() {
		return ctx.Err() == nil
	}
	delay := again.Sub(a.now())
	a.log.Warn().Str("domain", name).Str("last_failure", failed.cause()).Int("failures", failed.Count).Stringer("retry_in", delay.Round(time.Second)).
		Str("hint", "the limits of the ACME server are spared; to try at once, correct the cause and start again without "+a.orders.key(name)+" in the state directory").
		Msg("no certificate yet: the last order failed shortly before this start, so the next one waits")
	a.states[name].fail(failed.cause(), again)
	return wait(ctx, delay)
}

// pause records and logs a failure, then waits. It returns false when ctx ended.
func (a *ACME) pause(ctx context.Context, name string, cause error, failures int) bool {
	if ctx.Err() != nil {
		return false
	}
	delay := a.retryDelay(weight(failures, cause))
	again := a.now().Add(delay)
	a.log.Error().Err(cause).Str("domain", name).Str("acme_directory", a.directory).
		Int("attempt", failures).Stringer("retry_in", delay).Str("hint", hint(cause)).
		Msg("no certificate obtained")
	a.states[name].fail(cause.Error(), again) // after the log, which explains it
	return wait(ctx, delay)
}

// wait sleeps for d; it returns false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// onEvent follows the renewals, which certmagic does by itself. Its error when one
// begins keeps that one from happening.
func (a *ACME) onEvent(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	state := a.states[name]
	if renewal, _ := data["renewal"].(bool); !renewal || state == nil {
		return nil
	}
	switch event {
	case "cert_obtaining":
		return a.beginRenewal(ctx, name)
	case "cert_obtained":
		state.endRenewal(nil)
		state.succeed()
		a.log.Info().Str("domain", name).Msg("certificate renewed")
	case "cert_failed":
		cause, _ := data["error"].(error)
		if cause == nil {
			cause = errors.New("the ACME server gave no certificate")
		}
		state.endRenewal(cause)
		if ctx.Err() != nil {
			return nil
		}
		a.log.Error().Err(cause).Str("domain", name).Str("acme_directory", a.directory).
			Time("not_after", a.notAfter(name)).Str("hint", hint(cause)).
			Msg("certificate not renewed")
		state.fail(cause.Error(), time.Time{})
	}
	return nil
}

// beginRenewal records a renewal before it is ordered, and refuses it when one failed
// shortly before the program was started: certmagic knows only the failures of
// this run.
func (a *ACME) beginRenewal(ctx context.Context, name string) error {
	if again := a.states[name].notBefore(); a.now().Before(again) {
		return fmt.Errorf("the last renewal failed shortly before this start, so the next one waits until %s", again.UTC().Format(time.RFC3339))
	}
	end, err := a.orders.begin(ctx, name)
	if err != nil {
		return err
	}
	a.states[name].beginRenewal(end)
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
