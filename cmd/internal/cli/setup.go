package cli

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// defaultStateDir is where keys and certificates are unless the configuration
// says otherwise.
const defaultStateDir = "/var/lib/persona"

// answers are what setup is told, and its template is filled from.
type answers struct {
	Domain, Upstream, Hosts          string
	IDHost, Authority, Certifies     string
	DirectoryURLs, Preset            string
	BaseDN, BindDN, BindPasswordFile string
	StartTLS, InsecurePlaintext      bool
	DirectoryCAFile                  string
	Email, ACMEDirectory, ACMECAFile string
	CertFile, KeyFile                string
	TrustedProxies                   string
	StateDir                         string
	ListenHTTPS, ListenHTTP          string
	ListenAdmin                      string
	Out, Owner                       string

	// password was typed. It goes to BindPasswordFile, which is then ours to
	// write.
	password config.Secret
}

// setup writes a commented configuration that starts as it is. It overwrites
// nothing. At a terminal it asks what the flags did not say.
func setup(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	var a answers
	a.declare(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	if sh.interactive() {
		if err := (&interview{sh: sh, a: &a, said: given(flags)}).run(ctx); err != nil {
			return err
		}
	}
	if err := a.complete(); err != nil {
		return err
	}
	o, err := a.owner()
	if err != nil {
		return err
	}
	text, err := a.render()
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	c, err := a.write(text, o)
	if err != nil {
		return err
	}
	return a.explain(sh.stdout, c, o)
}

// declare names the flags. Each belongs to a key of the file, see flagOf.
func (a *answers) declare(flags *flag.FlagSet) {
	flags.StringVar(&a.Domain, "domain", "", "the `domain`: mail domain and host name of the website, as example.com (needed)")
	flags.StringVar(&a.Upstream, "upstream", "", "`URL` of the website behind persona, as http://127.0.0.1:8080")
	flags.StringVar(&a.Hosts, "hosts", "", "further host `names` of the website, parted by commas, as www.example.com")
	flags.StringVar(&a.IDHost, "id-host", "", "sign people in on this `host` instead, as id.example.com: safer, see the notes that setup prints")
	flags.StringVar(&a.Authority, "authority", "", "`host` elsewhere that signs for the domain; then no directory is needed")
	flags.StringVar(&a.Certifies, "certifies", "", "mail `domains`, parted by commas, that are served elsewhere and name -domain as their authority")
	flags.StringVar(&a.DirectoryURLs, "directory-url", "", "LDAP `URLs`, parted by commas, as ldaps://ldap.example.com")
	flags.StringVar(&a.Preset, "preset", string(config.PresetOpenLDAP), "`name` of the directory's schema")
	flags.StringVar(&a.BaseDN, "base-dn", "", "`DN` below which all people are, as dc=example,dc=com")
	flags.StringVar(&a.BindDN, "bind-dn", "", "`DN` that persona signs in to the directory as")
	flags.StringVar(&a.BindPasswordFile, "bind-password-file", "", "`file` that holds the password of -bind-dn")
	flags.StringVar(&a.DirectoryCAFile, "directory-ca-file", "", "`file` of roots to trust for the directory, in PEM")
	flags.BoolVar(&a.StartTLS, "start-tls", false, "use StartTLS with ldap:// URLs")
	flags.BoolVar(&a.InsecurePlaintext, "insecure-plaintext", false, "let passwords cross the network in clear text with ldap:// URLs")
	flags.StringVar(&a.Email, "email", "", "`address` that the certificate authority may write to")
	flags.StringVar(&a.ACMEDirectory, "acme-directory", "", "`URL` of the ACME directory, or staging for Let's Encrypt's (default Let's Encrypt)")
	flags.StringVar(&a.ACMECAFile, "acme-ca-file", "", "`file` of roots to trust for the ACME directory, in PEM")
	flags.StringVar(&a.CertFile, "cert-file", "", "`file` of the TLS certificate chain, instead of ACME")
	flags.StringVar(&a.KeyFile, "key-file", "", "`file` of the TLS key, instead of ACME")
	flags.StringVar(&a.TrustedProxies, "behind-proxy", "", "`networks` of a proxy that ends TLS before persona, or private")
	flags.StringVar(&a.StateDir, "state-dir", "", "`folder` for keys and certificates (default /var/lib/persona)")
	flags.StringVar(&a.ListenHTTPS, "listen-https", "", "`address` for https (default :443)")
	flags.StringVar(&a.ListenHTTP, "listen-http", "", "`address` for http (default :80)")
	flags.StringVar(&a.ListenAdmin, "listen-admin", "", "`address` for health and metrics (default 127.0.0.1:9180)")
	flags.StringVar(&a.Owner, "owner", "", "`user` or user:group that will run persona: what is written, and the state directory, is for that user alone")
	flags.StringVar(&a.Out, "out", config.DefaultPath, "`file` to write; it must not exist yet")
}

// owner returns the user of -owner, nil for none.
func (a *answers) owner() (*owner, error) {
	if a.Owner == "" {
		return nil, nil
	}
	o, err := parseOwner(a.Owner)
	if err != nil {
		return nil, wrong("-owner: "+err.Error(), "persona help setup")
	}
	return &o, nil
}

// flagOf returns the flag that gave the key of a fault, "" for none.
func (a *answers) flagOf(key string) string {
	key, _, _ = strings.Cut(strings.Replace(key, "domains[0]", "domain", 1), "[")
	if key == "domain.authority" && a.Authority != "" {
		return "authority"
	}
	return map[string]string{
		"domain.name":                         "domain",
		"domain.upstream":                     "upstream",
		"domain.hosts":                        "hosts",
		"domain.authority":                    "id-host",
		"domain.certifies":                    "certifies",
		"directories.corp.urls":               "directory-url",
		"directories.corp.preset":             "preset",
		"directories.corp.base_dn":            "base-dn",
		"directories.corp.bind_dn":            "bind-dn",
		"directories.corp.bind_password_file": "bind-password-file",
		"directories.corp.ca_file":            "directory-ca-file",
		"tls.acme.email":                      "email",
		"tls.acme.directory":                  "acme-directory",
		"tls.acme.ca_file":                    "acme-ca-file",
		"tls.cert_file":                       "cert-file",
		"tls.key_file":                        "key-file",
		"trusted_proxies":                     "behind-proxy",
		"state_dir":                           "state-dir",
		"listen.https":                        "listen-https",
		"listen.http":                         "listen-http",
		"listen.admin":                        "listen-admin",
	}[key]
}

// complete refuses what is missing or contradicts itself, and makes paths
// absolute.
func (a *answers) complete() error {
	if missing := a.missing(); len(missing) > 0 {
		return wrong("setup needs "+strings.Join(missing, ", "), "persona help setup")
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		return wrong("-cert-file and -key-file belong together", "give both")
	}
	if err := a.contradiction(); err != nil {
		return err
	}
	return a.makeAbsolute()
}

// contradiction refuses flags that exclude one another.
func (a *answers) contradiction() error {
	switch {
	case a.Authority != "" && a.Certifies != "":
		return wrong("-certifies is for the host that signs, and -authority says that another one does", "give one of them")
	case a.Authority != "" && (a.IDHost != "" || a.DirectoryURLs != ""):
		return wrong("-authority is for a domain that is signed for elsewhere", "use -id-host with the flags of the directory, or -authority without them")
	case a.CertFile != "" && a.TrustedProxies != "":
		return wrong("-behind-proxy is for a proxy that ends TLS, so it needs no -cert-file", "give one of them")
	case a.Email+a.ACMEDirectory+a.ACMECAFile != "" && a.CertFile+a.TrustedProxies != "":
		return wrong("-email, -acme-directory and -acme-ca-file are for certificates from ACME", "leave them out with -cert-file or -behind-proxy")
	}
	return nil
}

// makeAbsolute makes paths independent of the folder that setup was called in.
func (a *answers) makeAbsolute() error {
	for _, path := range []*string{&a.BindPasswordFile, &a.DirectoryCAFile, &a.ACMECAFile, &a.CertFile, &a.KeyFile, &a.StateDir, &a.Out} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("finding %s: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// missing returns the flags that are needed and not given.
func (a *answers) missing() []string {
	needed := []struct{ name, value string }{{"-domain", a.Domain}, {"-out", a.Out}}
	if a.Authority == "" {
		needed = append(needed, []struct{ name, value string }{{"-directory-url", a.DirectoryURLs}, {"-base-dn", a.BaseDN}}...)
	}
	if a.BindDN != "" {
		needed = append(needed, struct{ name, value string }{"-bind-password-file", a.BindPasswordFile})
	}
	if a.BindPasswordFile != "" {
		needed = append(needed, struct{ name, value string }{"-bind-dn", a.BindDN})
	}
	var missing []string
	for _, n := range needed {
		if n.value == "" {
			missing = append(missing, n.name)
		}
	}
	return missing
}
