package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// answers are what setup is told by its flags, and its template is filled from.
type answers struct {
	Domain, Upstream, Hosts          string
	IDHost, Authority                string
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
	Out                              string
}

// setup writes a commented configuration that starts as it is. It overwrites
// nothing.
func setup(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	var a answers
	a.declare(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	if err := a.complete(); err != nil {
		return err
	}
	text, err := a.render()
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	c, err := a.write(text)
	if err != nil {
		return err
	}
	return a.explain(sh.stdout, c)
}

// declare names the flags. Each belongs to a key of the file, see flagOf.
func (a *answers) declare(flags *flag.FlagSet) {
	flags.StringVar(&a.Domain, "domain", "", "the `domain`: mail domain and host name of the website, as example.com (needed)")
	flags.StringVar(&a.Upstream, "upstream", "", "`URL` of the website behind persona, as http://127.0.0.1:8080")
	flags.StringVar(&a.Hosts, "hosts", "", "further host `names` of the website, parted by commas, as www.example.com")
	flags.StringVar(&a.IDHost, "id-host", "", "sign people in on this `host` instead, as id.example.com: safer, see the notes that setup prints")
	flags.StringVar(&a.Authority, "authority", "", "`host` elsewhere that signs for the domain; then no directory is needed")
	flags.StringVar(&a.DirectoryURLs, "directory-url", "", "LDAP `URLs`, parted by commas, as ldaps://ldap.example.com")
	flags.StringVar(&a.Preset, "preset", string(config.PresetOpenLDAP), "`name` of the directory's schema")
	flags.StringVar(&a.BaseDN, "base-dn", "", "`DN` below which all people are, as dc=example,dc=com")
	flags.StringVar(&a.BindDN, "bind-dn", "", "`DN` that persona signs in to the directory as")
	flags.StringVar(&a.BindPasswordFile, "bind-password-file", "", "`file` that holds the password of -bind-dn")
	flags.StringVar(&a.DirectoryCAFile, "directory-ca-file", "", "`file` of roots to trust for the directory, in PEM")
	flags.BoolVar(&a.StartTLS, "start-tls", false, "use StartTLS with ldap:// URLs")
	flags.BoolVar(&a.InsecurePlaintext, "insecure-plaintext", false, "let passwords cross the network in clear text with ldap:// URLs")
	flags.StringVar(&a.Email, "email", "", "`address` that the certificate authority may write to")
	flags.StringVar(&a.ACMEDirectory, "acme-directory", "", "`URL` of the ACME directory (default Let's Encrypt)")
	flags.StringVar(&a.ACMECAFile, "acme-ca-file", "", "`file` of roots to trust for the ACME directory, in PEM")
	flags.StringVar(&a.CertFile, "cert-file", "", "`file` of the TLS certificate chain, instead of ACME")
	flags.StringVar(&a.KeyFile, "key-file", "", "`file` of the TLS key, instead of ACME")
	flags.StringVar(&a.TrustedProxies, "behind-proxy", "", "`networks` of a proxy that ends TLS before persona, or private")
	flags.StringVar(&a.StateDir, "state-dir", "", "`folder` for keys and certificates (default /var/lib/persona)")
	flags.StringVar(&a.ListenHTTPS, "listen-https", "", "`address` for https (default :443)")
	flags.StringVar(&a.ListenHTTP, "listen-http", "", "`address` for http (default :80)")
	flags.StringVar(&a.ListenAdmin, "listen-admin", "", "`address` for health and metrics (default 127.0.0.1:9180)")
	flags.StringVar(&a.Out, "out", config.DefaultPath, "`file` to write; it must not exist yet")
}

// flagOf returns the flag that gave the key of a fault, "" for none.
func flagOf(key string) string {
	key, _, _ = strings.Cut(strings.Replace(key, "domains[0]", "domain", 1), "[")
	return map[string]string{
		"domain.name":                         "domain",
		"domain.upstream":                     "upstream",
		"domain.hosts":                        "hosts",
		"domain.authority":                    "id-host",
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
// independent of the folder that setup was called in.
func (a *answers) complete() error {
	if missing := a.missing(); len(missing) > 0 {
		return wrong("setup needs "+strings.Join(missing, ", "), "persona help setup")
	}
	switch {
	case a.Authority != "" && (a.IDHost != "" || a.DirectoryURLs != ""):
		return wrong("-authority is for a domain that is signed for elsewhere", "use -id-host with the flags of the directory, or -authority without them")
	case (a.CertFile == "") != (a.KeyFile == ""):
		return wrong("-cert-file and -key-file belong together", "give both")
	case a.CertFile != "" && a.TrustedProxies != "":
		return wrong("-behind-proxy is for a proxy that ends TLS, so it needs no -cert-file", "give one of them")
	case a.Email+a.ACMEDirectory+a.ACMECAFile != "" && a.CertFile+a.TrustedProxies != "":
		return wrong("-email, -acme-directory and -acme-ca-file are for certificates from ACME", "leave them out with -cert-file or -behind-proxy")
	}
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

// write creates the file, after it was found to be a configuration without a
// fault, and returns that configuration.
func (a *answers) write(text []byte) (*config.Config, error) {
	if _, err := os.Lstat(a.Out); err == nil {
		return nil, exists(a.Out)
	}
	c, err := a.try(text)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(a.Out), 0o755); err != nil {
		return nil, cannotWrite(err)
	}
	file, err := os.OpenFile(a.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return nil, exists(a.Out)
	}
	if err != nil {
		return nil, cannotWrite(err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(a.Out) // ours, and not whole
		return nil, cannotWrite(err)
	}
	return c, nil
}

func exists(path string) error {
	return wrong(path+" exists already, and setup overwrites nothing", "write elsewhere with -out, or move the file away")
}

func cannotWrite(err error) error {
	return &failure{problem: "writing the configuration", cause: err, hint: "write elsewhere with -out, or run setup as a user who may write there", code: exitWorld}
}

// try loads the text as serve would, and puts faults into the words of the
// flags.
func (a *answers) try(text []byte) (*config.Config, error) {
	folder, err := os.MkdirTemp("", "persona-setup-")
	if err != nil {
		return nil, fmt.Errorf("checking the configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "persona.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("checking the configuration: %w", err)
	}
	c, err := config.Load(path, nil)
	var faults config.Faults
	if !errors.As(err, &faults) {
		return c, err
	}
	lines := make([]string, len(faults))
	for i, fault := range faults {
		name := flagOf(fault.Key)
		if name == "id-host" && a.Authority != "" {
			name = "authority"
		}
		if name == "" {
			name = fault.Key
		}
		lines[i] = fmt.Sprintf("-%s: %s (%s)", name, fault.Problem, fault.Cure)
	}
	return nil, &failure{
		problem: "setup found " + counted(len(lines), "fault"), hint: "mend the flags that are listed; nothing was written",
		detail: strings.Join(lines, "\n"), code: exitUsage,
	}
}
