package setup

import (
	"context"
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/strict"
)

// The layouts.
const (
	layoutAlone     = "alone"     // an identity host; the website stays where it is
	layoutSeparate  = "separate"  // an identity host, and the website behind persona
	layoutTogether  = "together"  // both on one host name
	layoutElsewhere = "elsewhere" // another host signs
)

// askDomain asks for the domain and where its people sign in.
func (i *interview) askDomain(ctx context.Context) error {
	if i.given("certifies") {
		q := *i.of("domain")
		q.title, q.reason = i.of("id-host").title, "People sign in there, and it signs for the domains of -certifies."
		return i.askFor(ctx, q, identityHost(i.mailDomain()), false)
	}
	if err := i.ask(ctx, "domain", ""); err != nil || i.given("id-host", "authority") {
		return err
	}
	domain := i.text("domain")
	id := identityHost(domain)
	choices := []choice{
		{layoutAlone, fmt.Sprintf("on a host of its own, as %s; the website stays where it is and publishes one small file (recommended)", id)},
		{layoutSeparate, fmt.Sprintf("on a host of its own, as %s, with persona in front of the website too", id)},
		{layoutTogether, fmt.Sprintf("on %s/persona/, with persona in front of the website", domain)},
		{layoutElsewhere, fmt.Sprintf("elsewhere: another host signs for %s already", domain)},
	}
	switch {
	case i.has("upstream") && i.has("directory-url"):
		choices = choices[1:3]
	case i.has("upstream"):
		choices = choices[1:]
	case i.has("directory-url"):
		choices = choices[:3]
	}
	layout, err := i.choose(ctx, "Where people sign in",
		"A script injected into a website can read passwords typed on the same host name. On a host of its own it cannot.", choices, "")
	if err != nil {
		return err
	}
	switch layout {
	case layoutElsewhere:
		return i.ask(ctx, "authority", "")
	case layoutTogether:
		return nil
	}
	if err := i.ask(ctx, "id-host", id); err != nil {
		return err
	}
	if layout == layoutAlone {
		i.set("domain", i.text("id-host"))
		i.set("certifies", domain)
		i.set("id-host", "")
	}
	return nil
}

// askWebsite asks for the website, unless persona does not stand in front of one.
func (i *interview) askWebsite(ctx context.Context) error {
	ownServer := i.has("certifies") && !i.has("id-host") || i.has("docroot") && i.has("id-host")
	if ownServer && !i.given("upstream") {
		return nil
	}
	if err := i.askOptional(ctx, "upstream", "http://127.0.0.1:8080"); err != nil || !i.has("upstream") {
		return err
	}
	return i.askOptional(ctx, "hosts", "www."+i.text("domain"))
}

// askCertificates asks where TLS certificates come from.
func (i *interview) askCertificates(ctx context.Context) error {
	from := "acme"
	switch {
	case i.given("cert-file", "key-file"):
		from = "files"
	case i.given("behind-proxy"):
		return nil
	case !i.given("acme-directory", "acme-ca-file"):
		choices := []choice{
			{"staging", "automatically from Let's Encrypt, its staging server first; browsers warn until you remove one line (recommended)"},
			{"production", "automatically from Let's Encrypt, trusted at once"},
			{"acme", "automatically from another authority that speaks ACME"},
			{"files", "from files that another program renews"},
			{"proxy", "not here: a web server or proxy in front, perhaps on this machine, ends TLS"},
		}
		if i.given("email") {
			choices = choices[:3]
		}
		var err error
		from, err = i.choose(ctx, "Where TLS certificates come from",
			"Authorities limit failed attempts; staging hardly does. Running persona agrees to their terms: https://letsencrypt.org/repository/", choices, "")
		if err != nil {
			return err
		}
	}
	switch from {
	case "files":
		return i.askEach(ctx, "cert-file", "", "key-file", "")
	case "proxy":
		return i.askEach(ctx, "behind-proxy", "127.0.0.1", "listen-http", "127.0.0.1:8081")
	case "staging":
		i.set("acme-directory", staging)
	case "acme":
		if i.given("acme-directory", "acme-ca-file") {
			break
		}
		if err := i.ask(ctx, "acme-directory", ""); err != nil {
			return err
		}
		if err := i.askOptional(ctx, "acme-ca-file", none); err != nil {
			return err
		}
	}
	return i.askOptional(ctx, "email", "admin@"+i.mailDomain())
}

// askEach asks for two answers; each flag is followed by its offer.
func (i *interview) askEach(ctx context.Context, flag, offer, second, secondOffer string) error {
	if err := i.ask(ctx, flag, offer); err != nil {
		return err
	}
	return i.ask(ctx, second, secondOffer)
}

// askDirectory asks where people are, and how persona may search them.
func (i *interview) askDirectory(ctx context.Context) error {
	if i.has("authority") {
		return nil
	}
	if !i.given("preset", "directory-url") {
		kind, err := i.choose(ctx, "Kind of directory",
			"It decides by which attributes people, their addresses and the state of their accounts are known. The file can change each of them.",
			kindsOfDirectory(), i.text("preset"))
		if err != nil {
			return err
		}
		i.set("preset", kind)
	}
	if err := i.ask(ctx, "directory-url", "ldaps://ldap."+i.mailDomain()); err != nil {
		return err
	}
	if strings.Contains(i.text("directory-url"), "ldap://") && !i.given("start-tls", "insecure-plaintext") {
		how, err := i.choose(ctx, "Encryption to the LDAP server", "ldap:// alone sends passwords in clear text.", []choice{
			{"start-tls", "StartTLS before anything else is sent (recommended)"},
			{"insecure-plaintext", "none: passwords cross the network in clear text; only for a test"},
		}, "")
		if err != nil {
			return err
		}
		i.set(how, "true")
	}
	if !i.has("insecure-plaintext") {
		if err := i.askOptional(ctx, "directory-ca-file", none); err != nil {
			return err
		}
	}
	if err := i.ask(ctx, "base-dn", "dc="+strings.ReplaceAll(i.mailDomain(), ".", ",dc=")); err != nil {
		return err
	}
	offer := "cn=persona,ou=services," + i.text("base-dn")
	switch i.text("preset") { // where such accounts are made
	case "activedirectory":
		offer = "persona@" + i.mailDomain()
		if names := strings.Split(strings.ToLower(i.text("base-dn")), "dc="); len(names) > 1 { // of the domain
			offer = "persona@" + strings.ReplaceAll(strings.Join(names[1:], ""), ",", ".")
		}
	case "freeipa":
		offer = "uid=persona,cn=sysaccounts,cn=etc," + i.text("base-dn")
	case "lldap":
		offer = "uid=persona,ou=people," + i.text("base-dn")
	}
	if !i.has("bind-password-file") {
		return i.askOptional(ctx, "bind-dn", offer)
	}
	q := *i.of("bind-dn")
	q.reason = "The password of -bind-password-file is this account's."
	return i.askFor(ctx, q, offer, false)
}

// kindsOfDirectory are the values of preset, the most frequent ones first.
func kindsOfDirectory() []choice {
	return []choice{
		{"activedirectory", "Active Directory; also Samba as a domain controller, AWS Managed Microsoft AD"},
		{"openldap", "OpenLDAP, and most directories with inetOrgPerson entries"},
		{"freeipa", "FreeIPA, Red Hat Identity Management"},
		{"389ds", "389 Directory Server, Red Hat Directory Server"},
		{"authentik", "authentik, its LDAP outpost"},
		{"glauth", "GLAuth"},
		{"google", "Google Workspace, Secure LDAP"},
		{"jumpcloud", "JumpCloud"},
		{"kanidm", "Kanidm"},
		{"lldap", "lldap"},
		{"okta", "Okta, its LDAP interface"},
		{"synology", "Synology LDAP Server"},
		{"univention", "Univention Corporate Server, its OpenLDAP at port 7636"},
		{string(config.PresetCustom), "another: the file names its attributes, and you correct them there"},
	}
}

// askFiles asks where to write, and for the password, which has a file of its
// own.
func (i *interview) askFiles(ctx context.Context) error {
	offer := "persona.yaml"
	if i.Root {
		offer = config.DefaultPath
	}
	if err := i.ask(ctx, "out", offer); err != nil || !i.needsPassword() {
		return err
	}
	file := passwordBeside(i.text("out"))
	if exists(file) {
		return refusePassword(file)
	}
	i.show("Password of "+i.text("bind-dn"), "It is not shown, and is written to "+file+" alone.")
	for {
		text, err := i.Terminal.AskHidden(ctx, prompt(""))
		if err != nil {
			return err
		}
		problem := unprintable(text)
		if text == "" {
			problem = "it is empty (a directory takes an empty password for an anonymous sign-in)"
		}
		if problem == "" {
			i.set("bind-password-file", file)
			i.password = strict.NewSecret(text)
			return nil
		}
		i.refuse(problem)
	}
}

// identityHost returns the name that is offered for the identity host of a
// domain.
func identityHost(domain string) string { return "id." + domain }
