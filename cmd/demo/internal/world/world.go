// Package world builds the demo on one machine: a throw-away CA, a directory with sample people, a sample website, a
// shop, and in front of them the sidecar, run by [app.App] from a configuration file as an administrator would write
// one. All files are in one temporary folder, which is removed at the end.
package world

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"persona-sidecar/cmd/demo/internal/ca"
	"persona-sidecar/cmd/demo/internal/directory"
	"persona-sidecar/cmd/demo/internal/website"
	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/config"

	"github.com/rs/zerolog"
)

// startAttempts bounds how often ports are chosen: another program may take one that was free a moment ago.
const startAttempts = 3

// World is the demo, running.
type World struct {
	ca      *ca.CA
	folder  folder
	listen  Listen
	port    int // of HTTPS, as the world sees it
	notices []string
	shop    *shop
	app     *app.App
	ended   chan error // how the sidecar's run ended
	closers []func() error
	once    sync.Once
	closed  error
}

// Start builds a world and returns once the sidecar has its key and reaches the directory. What was begun is undone on an error.
func Start(ctx context.Context, listen Listen) (*World, error) {
	w := &World{}
	if err := w.start(ctx, listen); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start(ctx context.Context, listen Listen) (err error) {
	path, err := os.MkdirTemp("", "persona-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	w.folder = folder(path)
	w.closers = append(w.closers, func() error { return os.RemoveAll(path) })
	if w.ca, err = ca.New(rand.Reader, time.Now()); err != nil {
		return err
	}
	if err := w.writeTrust(); err != nil {
		return err
	}
	var staff []website.Person
	for _, p := range People() {
		staff = append(staff, website.Person{Name: p.given + " " + p.family, Role: p.role})
	}
	pages, err := website.New(website.Config{MailDomain: Host, Staff: staff, Now: time.Now})
	if err != nil {
		return err
	}
	site, err := website.Start(ctx, pages)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, site.Close)
	people, err := w.startDirectory(ctx)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(w.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the sidecar's log: %w", err)
	}
	w.closers = append(w.closers, log.Close)
	// Its port stands in the sidecar's configuration.
	if w.shop, err = openShop(ctx, listen.Shop); err != nil {
		return err
	}
	w.closers = append(w.closers, w.shop.close)
	for range startAttempts {
		if err = w.startSidecar(ctx, listen, site, people, log); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return err
	}
	// Close is harmless twice. The website goes first, because its streams would keep the sidecar waiting for their end.
	w.closers = append(w.closers, site.Close)
	if err := w.startShop(ctx); err != nil {
		return err
	}
	return w.awaitHealth(ctx)
}

func (w *World) startDirectory(ctx context.Context) (*directory.Server, error) {
	pair, err := w.ca.Issue("127.0.0.1")
	if err != nil {
		return nil, err
	}
	certificate, err := pair.TLS()
	if err != nil {
		return nil, err
	}
	password := rand.Text() // another one in every run
	var people []directory.Person
	for _, p := range People() {
		people = append(people, directory.Person{
			Login: p.Login, GivenName: p.given, FamilyName: p.family, Password: p.Password,
			Mail: append(p.Addresses[:len(p.Addresses):len(p.Addresses)], p.otherMail...), Groups: []string{"staff"}, State: p.state,
		})
	}
	server, err := directory.Start(ctx, directory.Config{
		Certificate: certificate, Roots: w.ca.Roots(), BaseDN: baseDN, BindPassword: password,
		People: people, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, server.Close)
	return server, w.folder.write(filePassword, []byte(password+"\n"))
}

// writeTrust writes the CA's certificate and the sidecar's own.
func (w *World) writeTrust() error {
	site, err := w.ca.Issue(Host, Alias, Delegate)
	if err != nil {
		return err
	}
	return errors.Join(
		w.folder.write(fileCA, w.ca.PEM()),
		w.folder.write(fileTLS, site.Certificate),
		w.folder.write(fileTLSKey, site.Key),
	)
}

// startSidecar writes the configuration, reads it back as the program would, and runs it until it is ready.
func (w *World) startSidecar(ctx context.Context, listen Listen, site *website.Server, people *directory.Server, log io.Writer) error {
	var err error
	if w.listen, w.port, w.notices, err = listen.choose(ctx); err != nil {
		return err
	}
	err = w.folder.writeConfig(settings{
		HTTPS: w.listen.HTTPS, HTTP: w.listen.HTTP, PublicHTTPS: w.port,
		Host: Host, Alias: Alias, Delegate: Delegate, Upstream: site.URL(),
		DirectoryURL: people.URL(), BindDN: people.BindDN(), BaseDN: people.BaseDN(),
		ShopOrigin: w.ShopOrigin(),
	})
	if err != nil {
		return err
	}
	read, err := config.Load(w.ConfigFile(), nil)
	if err != nil {
		return fmt.Errorf("loading the demo's configuration: %w", err)
	}
	logger := zerolog.New(zerolog.SyncWriter(log)).Level(zerolog.InfoLevel).With().Timestamp().Logger()
	if w.app, err = app.New(app.Options{Config: read, Log: logger, Version: "demo"}); err != nil {
		return fmt.Errorf("building the sidecar: %w", err)
	}
	return w.run(ctx)
}

func (w *World) run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.ended = make(chan error, 1)
	done := make(chan error, 1)
	go func() {
		err := w.app.Run(running)
		w.ended <- err
		done <- err
	}()
	select {
	case <-w.app.Ready():
	case err := <-done:
		stop()
		return fmt.Errorf("starting the sidecar: %w", err)
	}
	w.closers = append(w.closers, func() error {
		stop()
		return <-done
	})
	return nil
}

// Close stops everything, the sidecar first, and removes the folder. Closing twice is as good as closing once.
func (w *World) Close() error {
	w.once.Do(func() {
		var faults []error
		for i := len(w.closers) - 1; i >= 0; i-- {
			faults = append(faults, w.closers[i]())
		}
		w.closed = errors.Join(faults...)
	})
	return w.closed
}

// Ended tells how the sidecar's run ended, should it end before Close.
func (w *World) Ended() <-chan error { return w.ended }

// Notices are what a person should know of how the world came up.
func (w *World) Notices() []string {
	return append(w.notices[:len(w.notices):len(w.notices)], w.shop.notices...)
}
