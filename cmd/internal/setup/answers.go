package setup

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/config"
)

// answer is one thing that setup has to know. It is given by a flag or asked
// for, and stands in the template of the file under the name of the flag.
type answer struct {
	flag   string
	also   []string // further names of the flag, which the first persona had
	key    string   // of the configuration; "" for none
	usage  string   // of the flag, as package flag takes it
	title  string   // of the question
	reason string   // one line below the title
	kind   kind
	text   string // "true" or "" for a switch
	given  bool   // by the flag, even with an empty text
}

// kind is how an answer is read.
type kind int

const (
	plain    kind = iota
	name          // a host name, or several: no two answers may hold the same
	path          // made absolute
	existing      // path of a file that must be there
	toggle        // a flag without a value
)

// answers are all that setup knows.
type answers struct {
	all      []*answer
	password config.Secret // typed; it is written to -bind-password-file
}

// siteAnswers, directoryAnswers and serverAnswers are the table of all answers. A
// further answer is one entry there, its line in the template, and a question
// where the interview needs it.
func siteAnswers() []*answer {
	return []*answer{
		{
			flag: "domain", also: []string{"d"}, key: "domains[0].name", kind: name, usage: "the `domain`: mail domain and host name of the website, as example.com (required)",
			title: "Domain of the e-mail addresses", reason: "The part after the @. It becomes the authority over its own addresses.",
		},
		{
			flag: "upstream", key: "domains[0].upstream", usage: "`URL` of the website behind persona, as http://127.0.0.1:8080",
			title: "Address of the website behind persona", reason: "Every request that is not for persona goes there. Answer none if there is no website.",
		},
		{
			flag: "hosts", key: "domains[0].hosts", kind: name, usage: "further host `names` of the website, separated by commas, as www.example.com",
			title: "Further host names of the website", reason: "Separated by commas, or none. A name that is not listed gets an error page.",
		},
		{
			flag: "id-host", key: "domains[0].authority", kind: name, usage: "sign people in on this `host` instead, as id.example.com: safer, see the notes that setup prints",
			title: "Host name for identity", reason: "A name in your DNS that leads to this machine, used for nothing else.",
		},
		{
			flag: "authority", key: "domains[0].authority", kind: name, usage: "`host` elsewhere that signs for the domain; then no directory is needed",
			title: "The host that signs", reason: "The domain will publish that this host is its authority.",
		},
		{
			flag: "certifies", key: "domains[0].certifies", kind: name,
			usage: "mail `domains`, separated by commas, that are served elsewhere and name -domain as their authority",
		},
		{flag: "website", also: []string{"w"}, usage: "`URL` of the present website, as https://example.com: its host is the domain unless -domain is given"},
		{
			flag: "docroot", also: []string{"r"}, kind: path,
			usage: "`folder` that the present website is served from: with -id-host or -certifies it gets the file .well-known/browserid",
		},
	}
}

func directoryAnswers() []*answer {
	return []*answer{
		{flag: "preset", key: "directories.corp.preset", text: string(config.PresetOpenLDAP), usage: "`kind` of the directory, as activedirectory"},
		{
			flag: "directory-url", key: "directories.corp.urls", usage: "LDAP `URLs`, separated by commas, as ldaps://ldap.example.com",
			title: "LDAP server", reason: "Passwords are checked there. Several servers with the same content are separated by commas.",
		},
		{
			flag: "base-dn", key: "directories.corp.base_dn", usage: "`DN` below which all people are, as dc=example,dc=com",
			title: "Base DN", reason: "The entry of the directory below which all people are.",
		},
		{
			flag: "bind-dn", key: "directories.corp.bind_dn", usage: "`DN` that persona signs in to the directory as",
			title: "Bind DN (service account)", reason: "The account that searches people and their addresses; it needs to read nothing else. Answer none to search anonymously.",
		},
		{flag: "bind-password-file", key: "directories.corp.bind_password_file", kind: path, usage: "`file` that holds the password of -bind-dn"},
		{
			flag: "directory-ca-file", key: "directories.corp.ca_file", kind: path, usage: "`file` of roots to trust for the directory, in PEM",
			title: "Roots of the LDAP server", reason: "A PEM file with the company's own authority; none for the roots of this machine.",
		},
		{flag: "start-tls", kind: toggle, usage: "use StartTLS with ldap:// URLs"},
		{flag: "insecure-plaintext", kind: toggle, usage: "let passwords cross the network in clear text with ldap:// URLs"},
	}
}

func serverAnswers() []*answer {
	return []*answer{
		{
			flag: "email", key: "tls.acme.email", usage: "`address` that the certificate authority may write to",
			title: "Address for the certificate authority", reason: "It may write there when something is wrong with a certificate. Or none.",
		},
		{
			flag: "acme-directory", key: "tls.acme.directory", usage: "`URL` of the ACME directory, or staging for Let's Encrypt's (default Let's Encrypt)",
			title: "ACME directory of the authority", reason: "Its URL, as https://ca.example.com/acme/directory.",
		},
		{
			flag: "acme-ca-file", key: "tls.acme.ca_file", kind: path, usage: "`file` of roots to trust for the ACME directory, in PEM",
			title: "Roots of that authority", reason: "A PEM file with the roots that its own server is trusted by; none for those of this machine.",
		},
		{
			flag: "cert-file", key: "tls.cert_file", kind: existing, usage: "`file` of the TLS certificate chain, instead of ACME",
			title: "File of the TLS certificates", reason: "In PEM, the leaf first, valid for every host name. It is read again when it changes.",
		},
		{
			flag: "key-file", key: "tls.key_file", kind: existing, usage: "`file` of the TLS key, instead of ACME",
			title: "File of the TLS key", reason: "In PEM, readable for the user that runs persona.",
		},
		{
			flag: "behind-proxy", key: "trusted_proxies", usage: "`networks` of a proxy that ends TLS in front of persona, or private",
			title: "Address of what ends TLS", reason: "Its X-Forwarded-For and X-Forwarded-Proto are trusted: addresses, networks, or private.",
		},
		{flag: "group", also: []string{"g"}, usage: "`group` of the files, in the commands that setup prints"},
		{flag: "state-dir", also: []string{"s", "secrets"}, key: "state_dir", kind: path, usage: "`folder` for keys and certificates (default /var/lib/persona)"},
		{flag: "listen-https", key: "listen.https", usage: "`address` for https (default :443)"},
		{
			flag: "listen-http", key: "listen.http", usage: "`address` for http (default :80)",
			title: "Address to listen on", reason: "Where the proxy in front reaches persona, by plain HTTP.",
		},
		{flag: "listen-admin", key: "listen.admin", usage: "`address` for health and metrics (default 127.0.0.1:9180)"},
		{
			flag: "out", kind: path, text: config.DefaultPath, usage: "`file` to write; it must not exist yet",
			title: "File to write", reason: "The configuration. It will hold no secret.",
		},
	}
}

// of returns the answer of a flag.
func (a *answers) of(flag string) *answer {
	i := slices.IndexFunc(a.all, func(q *answer) bool { return q.flag == flag || slices.Contains(q.also, flag) })
	if i < 0 {
		panic("setup: no flag -" + flag) // a misspelling, which every conversation of the tests meets
	}
	return a.all[i]
}

func (a *answers) text(flag string) string { return a.of(flag).text }

func (a *answers) set(flag, text string) { a.of(flag).text = text }

// has reports whether one of the flags has a text.
func (a *answers) has(flags ...string) bool {
	return slices.ContainsFunc(flags, func(flag string) bool { return a.text(flag) != "" })
}

// given reports whether one of the flags was given.
func (a *answers) given(flags ...string) bool {
	return slices.ContainsFunc(flags, func(flag string) bool { return a.of(flag).given })
}

// mailDomain returns the domain of people's addresses.
func (a *answers) mailDomain() string {
	if a.has("certifies") {
		return split(a.text("certifies"))[0]
	}
	return a.text("domain")
}

// needsPassword reports whether there is a bind DN without a password yet.
func (a *answers) needsPassword() bool { return a.has("bind-dn") && !a.has("bind-password-file") }

// problem returns what is wrong with a text as an answer by itself, and beside
// the answers so far; "" for nothing. What follows only from the whole is found
// when the file is read.
func (a *answers) problem(q *answer, text string) string {
	if problem := unprintable(text); problem != "" {
		return problem
	}
	switch {
	case q.kind == existing:
		return absent(text)
	case q.flag == "out" && exists(text):
		return text + " exists already, and setup overwrites nothing (name another file)"
	case q.flag == "out" && a.needsPassword() && exists(passwordBeside(text)):
		return passwordBeside(text) + " exists already, and setup overwrites nothing (name another file)"
	}
	if faults := q.faults(text); len(faults) > 0 {
		return faultText(faults[0])
	}
	for _, other := range a.all {
		if q.kind != name || other.kind != name || other == q {
			continue
		}
		for _, host := range split(text) {
			if slices.Contains(split(other.text), host) {
				return fmt.Sprintf("%q is given as -%s already (use each name once)", host, other.flag)
			}
		}
	}
	return ""
}

// faults returns what the configuration finds wrong with a text by itself.
func (q *answer) faults(text string) config.Faults {
	key := q.key
	switch {
	case key == "":
		return nil
	case q.flag == "id-host": // served here, so it has no port
		key = "domains[0].name"
	}
	err := config.CheckText(key, text)
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		faults = config.Faults{{Problem: err.Error(), Cure: "this is a defect of persona"}}
	}
	for i := range faults {
		faults[i].Key = q.key
	}
	return faults
}

// unprintable returns what is wrong with a text that holds more than characters,
// as when an arrow key was pressed.
func unprintable(text string) string {
	if !utf8.ValidString(text) {
		return "it is not UTF-8 (set the terminal to UTF-8)"
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "it holds a control character, perhaps of an arrow key (type it again)"
	}
	return ""
}

// publishes reports whether setup writes the document of a website that stays
// where it is.
func (a *answers) publishes() bool { return a.has("docroot") && a.has("certifies") }

// noFiles answers -docroot where persona is in front of the website.
const noFiles = "persona keeps no files in a docroot: it answers /.well-known/browserid and /persona/ itself.\n" +
	"Give -upstream with the address of your website, or -id-host with a host of its own for identity, and the website stays as it is."

// adoptWebsite takes the domain from -website.
func (a *answers) adoptWebsite() error {
	if !a.has("website") || a.has("domain") {
		return nil
	}
	u, err := url.Parse(a.text("website"))
	if err != nil || u.Host == "" {
		return refuse(fmt.Sprintf("-website: %q is not an absolute URL", a.text("website")), "write it as in https://example.com")
	}
	a.set("domain", u.Host)
	a.of("domain").given = true
	return nil
}

// adoptDocroot checks -docroot, and lets the identity host certify the domain
// whose website has its own server.
func (a *answers) adoptDocroot() error {
	if !a.has("docroot") {
		return nil
	}
	docroot := a.text("docroot")
	if info, err := os.Stat(docroot); err != nil || !info.IsDir() {
		return refuse("-docroot: "+docroot+" is not a folder", "name the folder that the website is served from")
	}
	if a.has("id-host") && !a.has("upstream") {
		var faults config.Faults
		for _, flag := range []string{"domain", "id-host"} {
			faults = append(faults, a.of(flag).faults(a.text(flag))...)
		}
		if len(faults) > 0 {
			return a.refuseFaults(faults)
		}
		a.set("certifies", strings.TrimSuffix(a.text("domain")+","+a.text("certifies"), ","))
		a.set("domain", a.text("id-host"))
		a.set("id-host", "")
	}
	if file := documentIn(docroot); a.publishes() && exists(file) {
		return refuse(file+" exists already, and setup overwrites nothing", "leave -docroot out, or move the file away")
	}
	return nil
}

// complete refuses answers that are missing or exclude one another, and makes
// paths independent of the working directory.
func (a *answers) complete() error {
	needed := []string{"domain", "out"}
	if !a.has("authority") {
		needed = append(needed, "directory-url", "base-dn")
	}
	if a.has("bind-dn") {
		needed = append(needed, "bind-password-file")
	}
	if a.has("bind-password-file") {
		needed = append(needed, "bind-dn")
	}
	needed = slices.DeleteFunc(needed, func(flag string) bool { return a.has(flag) })
	if len(needed) > 0 {
		refusal := &Refusal{problem: "setup needs -" + strings.Join(needed, ", -"), hint: "persona help setup"}
		if a.has("docroot") && !a.has("id-host", "certifies", "upstream") {
			refusal.detail = []string{noFiles}
		}
		return refusal
	}
	if a.has("cert-file") != a.has("key-file") {
		return refuse("-cert-file and -key-file belong together", "give both")
	}
	if err := a.contradiction(); err != nil {
		return err
	}
	for _, q := range a.all {
		if q.text == "" || q.kind != path && q.kind != existing {
			continue
		}
		absolute, err := filepath.Abs(q.text)
		if err != nil {
			return fmt.Errorf("finding %s: %w", q.text, err)
		}
		q.text = absolute
	}
	return a.adoptDocroot()
}

// contradiction refuses flags that exclude one another.
func (a *answers) contradiction() error {
	switch {
	case a.has("authority") && a.has("certifies"):
		return refuse("-certifies is for the host that signs, and -authority says that another one does", "give one of them")
	case a.has("authority") && a.has("id-host", "directory-url"):
		return refuse("-authority is for a domain that is signed for elsewhere", "use -id-host with the flags of the directory, or -authority without them")
	case a.has("cert-file") && a.has("behind-proxy"):
		return refuse("-behind-proxy is for a proxy that ends TLS, so it needs no -cert-file", "give one of them")
	case a.has("email", "acme-directory", "acme-ca-file") && a.has("cert-file", "behind-proxy"):
		return refuse("-email, -acme-directory and -acme-ca-file are for certificates from ACME", "leave them out with -cert-file or -behind-proxy")
	}
	return nil
}

// refuseFaults returns an error with a line for each fault, under the name of the
// flag that has its key.
func (a *answers) refuseFaults(faults config.Faults) error {
	lines := make([]string, len(faults))
	for i, fault := range faults {
		flag := fault.Key
		for _, q := range a.all {
			if q.key != "" && strings.TrimRight(strings.TrimPrefix(fault.Key, q.key), "[0123456789]") == "" && (q.text != "" || flag == fault.Key) {
				flag = q.flag
			}
		}
		lines[i] = fmt.Sprintf("-%s: %s", flag, faultText(fault))
	}
	return &Refusal{problem: "the flags have faults", hint: "fix the flags that are listed; nothing was written", detail: lines}
}

func faultText(fault config.Fault) string { return fmt.Sprintf("%s (%s)", fault.Problem, fault.Cure) }

// split returns texts that are separated by commas or blanks.
func split(texts string) []string {
	return strings.FieldsFunc(texts, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) })
}
