package ldapauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/account"
	"persona-sidecar/ldapauth/group"
	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
	"github.com/rs/zerolog"
	"golang.org/x/text/unicode/norm"
)

// Directory is one company directory on one or several servers. It is safe for
// concurrent use.
type Directory struct {
	cfg       Config
	log       zerolog.Logger
	mailboxes *mailbox.Reader
	// attributes that a search asks for: a whole person, what is read again
	// after the bind, the id alone
	wholePerson, again, onlyID []string

	// groups is nil where none are wanted; withGroups are the attributes of a whole
	// person and those that groups needs.
	groups     *group.Groups
	withGroups []string
	people     []string // where they are: the base DNs, or below
	windows    windowsDomains
	learned    atomic.Pointer[learned]

	account   *account.Reader
	servers   *servers.Set
	minDelay  minDelay
	reminders reminders
}

// New checks the configuration and returns a Directory. It does no I/O: a
// directory that is down is found when it is asked. The error lists every
// fault, one a line.
func New(cfg Config) (*Directory, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	cfg.Log = cfg.Log.With().Str("directory", cfg.Name).Logger()
	reader, err := account.New(cfg.Schema, cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("disabled_filter: %w", err)
	}
	set, err := servers.New(servers.Config{
		URLs: cfg.URLs, SRV: cfg.SRV, Resolver: cfg.Resolver, StartTLS: cfg.StartTLS, Roots: cfg.Roots,
		TLSServerName: cfg.TLSServerName, ClientCertificate: cfg.ClientCertificate,
		BindDN: cfg.BindDN, BindPassword: cfg.BindPassword, ReadPassword: cfg.ReadPassword, Now: cfg.Now,
		Timeout: cfg.Timeout, MaxBinds: cfg.MaxBinds, MaxSearches: cfg.MaxSearches, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Schema.ID.Reusable {
		cfg.Log.Warn().Str("id_attribute", cfg.Schema.ID.Attribute).
			Str("hint", "never give the value of someone who left to another person, or set id_attribute to one that is never given again").
			Msg("people are identified by what may be given to another person later, who would get the sessions of the one before")
	}
	if cfg.Schema.SearchTellsNothing {
		cfg.Log.Info().Dur("session_lifetime", blindSession).
			Msg("this kind of directory tells of suspended people only when they sign in, so sessions are short")
	}
	d := &Directory{
		cfg: cfg, log: cfg.Log, servers: set, account: reader,
		mailboxes:   mailbox.NewReader(cfg.Schema.AddressAttributes, cfg.Domains, cfg.Schema.SelfService && !cfg.Schema.MailIsAdminOnly),
		wholePerson: personAttributes(cfg.Schema, reader),
		again:       changedByBind(cfg.Schema),
		onlyID:      []string{cfg.Schema.ID.Attribute},
		minDelay:    minDelay{step: cfg.RefusalTime},
	}
	for _, base := range cfg.BaseDNs {
		d.people = append(d.people, peopleBase(base, cfg.Schema.PeopleBase))
	}
	d.useGroups()
	return d, nil
}

// Authenticate implements [identity.Directory]: it checks a password. login is
// what the person typed.
//
// An error means only that the directory could not answer; the Result then
// still holds Person.ID if the entry was found before things went wrong, so
// that a counted attempt can be given back.
//
// Every refusal whose reason may not be told takes the same time
// (Config.RefusalTime), or until the context ends.
func (d *Directory) Authenticate(ctx context.Context, login, password string, gate func(id string) bool) (identity.Result, error) {
	login = identity.CleanLogin(login)
	if !identity.ValidLogin(login) || !identity.ValidPassword(password) {
		return d.refusal(identity.Refused, ""), nil
	}
	started := time.Now()
	res, err := d.authenticate(ctx, login, password, gate)
	if err != nil {
		return res, d.failure(err)
	}
	switch {
	case res.Status == identity.OK:
		d.minDelay.learn(time.Since(started))
	case !res.MayTell:
		d.minDelay.wait(ctx, started)
	}
	return res, nil
}

func (d *Directory) authenticate(ctx context.Context, login, password string, gate func(id string) bool) (identity.Result, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	e, err := d.find(ctx, login)
	if err != nil || e.Entry == nil {
		return d.refusal(identity.Refused, ""), err
	}
	if gate != nil && !gate(e.id) {
		return d.refusal(identity.Throttled, e.id), nil
	}
	v, err := d.bind(ctx, e.DN, password)
	if composed := norm.NFC.String(password); err == nil && v.status == identity.Refused && composed != password {
		// As typed first: a directory that does not prepare passwords (RFC 4511 section 4.2) holds what a client of
		// its own sent. It counts two tries then, and so must we, or it locks the account before we refuse.
		if gate != nil && !gate(e.id) {
			return d.refusal(identity.Throttled, e.id), nil
		}
		password = composed
		v, err = d.bind(ctx, e.DN, password)
	}
	if err != nil {
		return d.refusal(identity.Refused, e.id), err
	}
	if v.status != identity.OK {
		return d.rejected(e, v), nil
	}
	res, err := d.confirm(ctx, e)
	if err != nil {
		return d.refusal(identity.Refused, e.id), err
	}
	if res.Status == identity.OK && !res.Person.PasswordChanged.Equal(d.account.State(e).PasswordChanged) {
		// By the bind itself, where the server stores it in another way since; or by the person, and then a session that began
		// with the old password would pass for one of the new.
		if v, err = d.bind(ctx, e.DN, password); err != nil {
			return d.refusal(identity.Refused, e.id), err
		}
		if v.status != identity.OK {
			return d.rejected(e, v), nil
		}
	}
	switch res.Status {
	case identity.Gone: // within milliseconds: to the person it is a refusal
		return d.refusal(identity.Refused, e.id), nil
	case identity.OK:
		res.Notice = v.notice
		res.Person.PasswordExpired = res.Person.PasswordExpired || v.notice.PasswordExpired
	}
	return res, nil
}

// find returns the one entry that the typed name means; none (a nil Entry) if
// there is no such, or more than one.
func (d *Directory) find(ctx context.Context, login string) (entry, error) {
	f, err := d.named(ctx, d.meaning(ctx, login), d.wholePerson)
	if err != nil {
		return entry{}, err
	}
	if f.more || len(f.entries) > 1 {
		d.log.Warn().Str("login", login).Strs("dns", names(f.entries)).
			Str("hint", "make the login attributes unique, or name fewer").
			Msg("sign-in refused: this name matches more than one entry")
		return entry{}, nil
	}
	if len(f.entries) == 0 {
		return entry{}, nil
	}
	e := f.entries[0]
	if e.unusable != nil {
		return entry{}, fmt.Errorf("identifying an entry: %w", e.unusable)
	}
	return e, nil
}

func (d *Directory) refusal(status identity.Status, id string) identity.Result {
	return identity.Result{Status: status, Person: identity.Person{Directory: d.cfg.Name, ID: id}}
}

// Lookup implements [identity.Directory]: it reads a person again by id: their state, names and addresses as they
// are now. An entry that is no longer there, or no longer among the people, is
// Gone. An error means only that the directory could not answer.
func (d *Directory) Lookup(ctx context.Context, id string) (identity.Result, error) {
	if _, ok := d.account.ByID(id); !ok {
		return d.refusal(identity.Gone, id), nil
	}
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	res, err := d.read(ctx, id)
	if err != nil {
		return d.refusal(identity.Refused, id), d.failure(err)
	}
	return res, nil
}

// LoginBy reports whether people sign in by a user name and by an e-mail address: every
// address is a name, others are as login_attributes says.
func (d *Directory) LoginBy() (name, address bool) {
	name = slices.ContainsFunc(d.cfg.Schema.LoginAttributes, func(attribute string) bool {
		return !strings.EqualFold(attribute, "mail") && !contains(d.cfg.Schema.AddressAttributes, attribute)
	})
	return name, true
}

// SessionLifetime returns how long people may stay signed in at most; zero for as
// long as is configured. A re-check of a kind of directory that tells of suspended
// people only when they sign in does not find them.
func (d *Directory) SessionLifetime() time.Duration {
	if d.cfg.Schema.SearchTellsNothing {
		return blindSession
	}
	return 0
}

// Ping asks whether the directory answers the service account and holds the
// base DNs. Now and then it also learns which address attributes the server has. The error has a hint.
func (d *Directory) Ping(ctx context.Context) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	began := time.Now()
	var err error
	for _, base := range d.cfg.BaseDNs {
		if err = d.servers.Ping(ctx, base); err == nil && base == "" { // which every server has, but few search below it
			_, err = d.servers.Search(ctx, &ldap.SearchRequest{
				Scope: ldap.ScopeWholeSubtree, SizeLimit: 1, TimeLimit: servers.SecondsLeft(ctx),
				Filter: equals(d.cfg.Schema.LoginAttributes[0], "no one has this name"), Attributes: []string{"1.1"},
			})
		}
		if err != nil {
			break
		}
	}
	d.observe(OpPing, began, answeredOr(err))
	if err != nil {
		return d.failure(fmt.Errorf("reading the base: %w", err))
	}
	d.learn(ctx)
	return nil
}

// Peers looks at each address of the directory's servers in turn: whether it is reached, its TLS certificates, the bind of
// the service account, the bases.
func (d *Directory) Peers(ctx context.Context) []servers.Peer {
	return d.servers.Peers(ctx, d.cfg.BaseDNs...)
}

// Stats returns the figures of the directory's servers.
func (d *Directory) Stats() servers.Stats { return d.servers.Stats() }

// Close closes all connections. Calls in flight end with an error.
func (d *Directory) Close() error {
	d.servers.Close()
	return nil
}

// bounded adds the configured time-out and the end of the Directory.
func (d *Directory) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.cfg.Timeout)
}

// failure names the directory; after Close that is the whole reason.
func (d *Directory) failure(err error) error {
	if d.servers.Closed() {
		return fmt.Errorf("directory %s is closed: %w", d.cfg.Name, err)
	}
	return fmt.Errorf("directory %s: %w", d.cfg.Name, err)
}
