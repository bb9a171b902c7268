package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

func (i *interview) askDomain(ctx context.Context) error {
	if i.said["certifies"] {
		return i.ask(ctx, "domain", &i.a.Domain, question{
			title: "Host name for identity", reason: "People sign in there, and it signs for the domains of -certifies.",
			offer: identityHost(firstOf(i.a.Certifies)),
		})
	}
	return i.ask(ctx, "domain", &i.a.Domain, question{
		title: "Domain of the e-mail addresses", reason: "What stands after the @: it becomes the authority over its own addresses.",
	})
}

// The layouts.
const (
	layoutAlone     = "alone"     // an identity host; the website stays where it is
	layoutSeparate  = "separate"  // an identity host, and the website behind persona
	layoutTogether  = "together"  // both on one host name
	layoutElsewhere = "elsewhere" // somebody else signs
)

// askLayout asks where people sign in.
func (i *interview) askLayout(ctx context.Context) error {
	if i.saidAny("id-host", "authority", "certifies") {
		return nil
	}
	domain, id := i.a.Domain, identityHost(i.a.Domain)
	choices := []choice{
		{layoutAlone, fmt.Sprintf("on a host of its own, as %s; the website stays where it is and publishes one small file (recommended)", id)},
		{layoutSeparate, fmt.Sprintf("on a host of its own, as %s, with persona in front of the website too", id)},
		{layoutTogether, fmt.Sprintf("on %s/persona/, with persona in front of the website", domain)},
		{layoutElsewhere, fmt.Sprintf("elsewhere: another host signs for %s already", domain)},
	}
	switch {
	case i.a.Upstream != "" && i.a.DirectoryURLs != "":
		choices = choices[1:3]
	case i.a.Upstream != "":
		choices = choices[1:]
	case i.a.DirectoryURLs != "":
		choices = choices[:3]
	}
	layout, err := i.choose(ctx, "Where people sign in",
		"A script smuggled into a website can read passwords typed on the same host name. On a host of its own it cannot.", choices)
	if err != nil {
		return err
	}
	switch layout {
	case layoutElsewhere:
		return i.ask(ctx, "authority", &i.a.Authority, question{
			title: "The host that signs", reason: "The domain will publish that this host is its authority.",
		})
	case layoutTogether:
		return nil
	}
	if err := i.ask(ctx, "id-host", &i.a.IDHost, question{
		title: "Host name for identity", reason: "A name in your DNS that leads to this machine, used for nothing else.", offer: id,
	}); err != nil {
		return err
	}
	if layout == layoutAlone {
		i.a.Domain, i.a.Certifies, i.a.IDHost = i.a.IDHost, i.a.Domain, ""
	}
	return nil
}

// askWebsite asks for the website, where persona stands in front of one.
func (i *interview) askWebsite(ctx context.Context) error {
	if i.a.Certifies != "" && i.a.IDHost == "" && !i.said["upstream"] {
		return nil
	}
	if err := i.ask(ctx, "upstream", &i.a.Upstream, question{
		title: "Address of the website behind persona", reason: "Whatever is not for persona goes there. Answer none where there is no website.",
		offer: "http://127.0.0.1:8080", optional: true,
	}); err != nil || i.a.Upstream == "" {
		return err
	}
	return i.ask(ctx, "hosts", &i.a.Hosts, question{
		title: "Further host names of the website", reason: "Parted by commas, or none. A name that is not listed is answered with an error page.",
		offer: "www." + i.a.Domain, optional: true,
	})
}

// askCertificates asks where TLS certificates come from.
func (i *interview) askCertificates(ctx context.Context) error {
	switch {
	case i.saidAny("cert-file", "key-file"):
		return i.askCertificateFiles(ctx)
	case i.said["behind-proxy"]:
		return nil
	case i.saidAny("acme-directory", "acme-ca-file"):
		return i.askEmail(ctx)
	}
	choices := []choice{
		{"staging", "by themselves from Let's Encrypt, its staging server first; browsers warn until you remove one line (recommended)"},
		{"", "by themselves from Let's Encrypt, trusted at once"},
		{"acme", "by themselves from another authority that speaks ACME"},
		{"files", "from files that somebody else renews"},
		{"proxy", "not here: a web server or proxy in front, perhaps on this machine, ends TLS"},
	}
	if i.said["email"] {
		choices = choices[:3]
	}
	from, err := i.choose(ctx, "Where TLS certificates come from",
		"Authorities forgive few mistakes, staging forgives many. Running persona agrees to their terms: https://letsencrypt.org/repository/", choices)
	if err != nil {
		return err
	}
	switch from {
	case "files":
		return i.askCertificateFiles(ctx)
	case "proxy":
		return i.askProxy(ctx)
	case "acme":
		if err := i.askAuthority(ctx); err != nil {
			return err
		}
	default:
		i.a.ACMEDirectory = from
	}
	return i.askEmail(ctx)
}

func (i *interview) askEmail(ctx context.Context) error {
	return i.ask(ctx, "email", &i.a.Email, question{
		title: "Address for the certificate authority", reason: "It may write there when something is wrong with a certificate. Or none.",
		offer: "admin@" + i.mailDomain(), optional: true,
	})
}

func (i *interview) askAuthority(ctx context.Context) error {
	if err := i.ask(ctx, "acme-directory", &i.a.ACMEDirectory, question{
		title: "ACME directory of the authority", reason: "Its URL, as https://ca.example.com/acme/directory.",
	}); err != nil {
		return err
	}
	return i.ask(ctx, "acme-ca-file", &i.a.ACMECAFile, question{
		title: "Roots of that authority", reason: "A PEM file with the roots that its own server is trusted by; none for those of this machine.",
		offer: none, optional: true,
	})
}

func (i *interview) askCertificateFiles(ctx context.Context) error {
	if err := i.ask(ctx, "cert-file", &i.a.CertFile, question{
		title: "File of the TLS certificates", reason: "In PEM, the leaf first, good for every host name. It is read again when it changes.", refuse: readable,
	}); err != nil {
		return err
	}
	return i.ask(ctx, "key-file", &i.a.KeyFile, question{
		title: "File of the TLS key", reason: "In PEM, readable for the user that runs persona.", refuse: readable,
	})
}

func (i *interview) askProxy(ctx context.Context) error {
	if err := i.ask(ctx, "behind-proxy", &i.a.TrustedProxies, question{
		title: "Address of what ends TLS", reason: "Only its word on who asks, and whether by https, is believed: addresses, networks, or private.",
		offer: "127.0.0.1",
	}); err != nil {
		return err
	}
	return i.ask(ctx, "listen-http", &i.a.ListenHTTP, question{
		title: "Address to listen on", reason: "Where the proxy in front reaches persona, by plain HTTP.", offer: "127.0.0.1:8081",
	})
}

// askDirectory asks where people are.
func (i *interview) askDirectory(ctx context.Context) error {
	if i.a.Authority != "" {
		return nil
	}
	if err := i.ask(ctx, "directory-url", &i.a.DirectoryURLs, question{
		title: "LDAP server", reason: "People's passwords are checked there. Several with the same content are parted by commas.",
		offer: "ldaps://ldap." + i.mailDomain(),
	}); err != nil {
		return err
	}
	if err := i.askStartTLS(ctx); err != nil {
		return err
	}
	if !i.a.InsecurePlaintext {
		if err := i.ask(ctx, "directory-ca-file", &i.a.DirectoryCAFile, question{
			title: "Roots of the LDAP server", reason: "A PEM file with the company's own authority; none for the roots of this machine.",
			offer: none, optional: true,
		}); err != nil {
			return err
		}
	}
	return i.ask(ctx, "base-dn", &i.a.BaseDN, question{
		title: "Base of the people", reason: "The entry of the directory below which all people are.", offer: "dc=" + strings.ReplaceAll(i.mailDomain(), ".", ",dc="),
	})
}

// askStartTLS asks how ldap:// is kept from sending passwords in clear text.
func (i *interview) askStartTLS(ctx context.Context) error {
	if !strings.Contains(i.a.DirectoryURLs, "ldap://") || i.saidAny("start-tls", "insecure-plaintext") {
		return nil
	}
	how, err := i.choose(ctx, "Encryption to the LDAP server", "ldap:// alone sends passwords in clear text.", []choice{
		{"start-tls", "StartTLS before anything is said (recommended)"},
		{"insecure-plaintext", "none: passwords cross the network in clear text; for a test alone"},
	})
	if err != nil {
		return err
	}
	i.a.StartTLS, i.a.InsecurePlaintext = how == "start-tls", how != "start-tls"
	return nil
}

// askBind asks who searches the directory.
func (i *interview) askBind(ctx context.Context) error {
	if i.a.Authority != "" {
		return nil
	}
	q := question{
		title: "Entry that persona searches the directory as", reason: "It needs to read people and their addresses, nothing more. Answer none to search anonymously.",
		offer: "cn=persona,ou=services," + i.a.BaseDN, optional: true,
	}
	if i.a.BindPasswordFile != "" {
		q.reason, q.optional = "The password of -bind-password-file is this entry's.", false
	}
	return i.ask(ctx, "bind-dn", &i.a.BindDN, q)
}

// askFiles asks where to write, and for whom.
func (i *interview) askFiles(ctx context.Context) error {
	offer := "persona.yaml"
	if i.sh.root {
		offer = config.DefaultPath
	}
	if err := i.ask(ctx, "out", &i.a.Out, question{
		title: "File to write", reason: "The configuration. It will hold no secret.", offer: offer, refuse: i.refuseOut,
	}); err != nil {
		return err
	}
	if !i.sh.root {
		return nil
	}
	return i.ask(ctx, "owner", &i.a.Owner, question{
		title: "User that will run persona", reason: "What is written is given to that user, and nobody else can read it. 65532 in the container; none for root.",
		offer: "persona", optional: true, refuse: func(text string) string {
			if _, err := parseOwner(text); err != nil {
				return err.Error()
			}
			return ""
		},
	})
}

// refuseOut says what is wrong with a place for the configuration.
func (i *interview) refuseOut(path string) string {
	if problem := taken(path); problem != "" {
		return problem
	}
	if i.needsPassword() {
		return taken(filepath.Join(filepath.Dir(path), passwordFile))
	}
	return ""
}

func (i *interview) needsPassword() bool { return i.a.BindDN != "" && i.a.BindPasswordFile == "" }

// askPassword asks for the bind password, which is written to a file of its own.
func (i *interview) askPassword(ctx context.Context) error {
	if !i.needsPassword() {
		return nil
	}
	path := filepath.Join(filepath.Dir(i.a.Out), passwordFile)
	if err := checkNoPassword(path); err != nil {
		return err
	}
	i.show(question{title: "Password of " + i.a.BindDN, reason: "It is not shown, and is written to " + path + " alone."})
	for {
		text, err := i.sh.askHidden(ctx, "  > ")
		if err != nil {
			return err
		}
		problem := unprintable(text)
		if text == "" {
			problem = "it is empty (a directory takes an empty password for nobody's)"
		}
		if problem == "" {
			i.a.BindPasswordFile, i.a.password = path, config.NewSecret(text)
			return nil
		}
		i.again(problem)
	}
}

// mailDomain returns the domain of people's addresses.
func (i *interview) mailDomain() string {
	if i.a.Certifies != "" {
		return firstOf(i.a.Certifies)
	}
	return i.a.Domain
}

// identityHost returns the name that is offered for the identity host of a
// domain.
func identityHost(domain string) string { return "id." + domain }

// firstOf returns the first of texts that are parted by commas or blanks.
func firstOf(texts string) string {
	if all := split(texts); len(all) > 0 {
		return all[0]
	}
	return ""
}
