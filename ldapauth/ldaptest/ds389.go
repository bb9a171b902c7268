package ldaptest

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Start389 starts a 389 Directory Server whose files lie in dir, an empty
// directory. The caller calls Stop. dscreate, the tool for it, writes into the
// system's configuration; so the package's own template of a configuration is
// filled in here.
func Start389(dir string) (*Server, error) {
	program, err := lookUp("389-ds-base", "ns-slapd", "/usr/sbin/ns-slapd")
	if err != nil {
		return nil, err
	}
	s := &Server{
		Kind: DS389, BindDN: serviceDN, BindPassword: servicePassword, BaseDN: BaseDN,
		dir: dir, rootDN: "cn=Directory Manager", rootPassword: rootPassword,
		fatal: func(err error) { panic(err) },
	}
	etc := filepath.Join(dir, "etc")
	s.launch = func() error {
		// The ports are in the configuration, which the running server writes anew.
		if err := replaceLines(filepath.Join(etc, "dse.ldif"), map[string]string{
			"nsslapd-port": strconv.Itoa(s.port), "nsslapd-securePort": strconv.Itoa(s.tls),
		}); err != nil {
			return err
		}
		return s.run(program, "-D", etc, "-i", filepath.Join(dir, "run", "pid"), "-d", "0")
	}
	if s.RootsPEM, err = writeCertificates(dir); err != nil {
		return nil, err
	}
	if err := configure389(dir); err != nil {
		return nil, err
	}
	if err := certificates389(dir, etc); err != nil {
		return nil, err
	}
	if err := runToEnd(dir, program, "ldif2db", "-D", etc, "-n", "userroot", "-i", filepath.Join(dir, "data.ldif")); err != nil {
		return nil, err
	}
	return s, s.launchOnFreePorts()
}

// configure389 writes the configuration, the schema and the entries.
func configure389(dir string) error {
	template, err := os.ReadFile("/usr/share/dirsrv/data/template-dse.ldif")
	if err != nil {
		return &missing{"the template of 389-ds's configuration is not installed", "apt-get install 389-ds-base"}
	}
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("starting 389-ds: %w", err)
	}
	values := []string{
		"%log_dir%/errors", filepath.Join(dir, "log"),
		"%fqdn%", "localhost", "%ds_port%", "389", "%ds_user%", me.Username, "%ds_suffix%", BaseDN,
		"%rootdn%", "cn=Directory Manager", "%ds_passwd%", saltedHash(rootPassword),
		"%ldapi_enabled%", "off", "%ldapi%", filepath.Join(dir, "ldapi"), "%ldapi_autobind%", "off", "%db_lib%", "bdb",
	}
	for name, folder := range map[string]string{
		"schema": "etc/schema", "lock": "lock", "tmp": "tmp", "cert": "etc", "config": "etc", "ldif": "ldif", "bak": "bak",
		"run": "run", "inst": "inst", "log": "log.d", "db": "db", "db_home": "dbhome",
	} {
		path := filepath.Join(dir, folder)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("making the server's directories: %w", err)
		}
		values = append(values, "%"+name+"_dir%", path)
	}
	text := strings.NewReplacer(values...).Replace(strings.TrimRight(string(template), "\n") + "\n\n" + backend389)
	text = strings.Replace(text, "nsslapd-localhost:", settings389+"nsslapd-localhost:", 1)
	entries := strings.Split(text, "\n\n")
	for i, e := range entries {
		if strings.HasPrefix(strings.TrimSpace(e), "dn: cn=MemberOf Plugin,") {
			entries[i] = strings.Replace(e, "nabled: off", "nabled: on", 1)
		}
	}
	text = strings.Join(entries, "\n\n")
	return writeFiles(dir, map[string]string{
		"etc/dse.ldif": text, "etc/schema/99user.ldif": schema389, "data.ldif": company389(),
		// Those of the package may be read by root alone.
		"etc/certmap.conf": "certmap default default\n", "etc/slapd-collations.conf": "",
	})
}

// settings389 stand in the entry cn=config. The password policy is what the
// company's people need; a stored password stays in the scheme that it has.
const settings389 = `nsslapd-accesslog-logging-enabled: off
nsslapd-listenhost: 127.0.0.1
nsslapd-securelistenhost: 127.0.0.1
nsslapd-security: on
nsslapd-securePort: 636
nsslapd-enable-upgrade-hash: off
passwordMustChange: on
passwordExp: on
passwordMaxAge: 8640000
passwordWarning: 0
passwordGraceLimit: 100
passwordTrackUpdateTime: on
passwordLockout: on
passwordMaxFailure: 5
passwordLockoutDuration: 3600
passwordCheckSyntax: on
passwordMinLength: 8
passwordMinCategories: 1
`

// backend389 is appended to the template.
const backend389 = `dn: cn=userroot,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: userroot
nsslapd-suffix: ` + BaseDN + `
nsslapd-directory: %db_dir%/userroot

dn: cn="` + BaseDN + `",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: ` + BaseDN + `
nsslapd-state: backend
nsslapd-backend: userroot
`

// schema389 is what the server lacks of the schema of our slapd.
const schema389 = `dn: cn=schema
attributeTypes: ( 2.999.1.1 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectClasses: ( 2.999.2.1 NAME 'examplePerson' SUP top AUXILIARY MAY ( proxyAddresses $ mailAlternateAddress ) )
`

// certificates389 fills the database of certificates that NSS wants.
func certificates389(dir, etc string) error {
	for _, command := range [][]string{
		{"certutil", "-N", "-d", "sql:" + etc, "--empty-password"},
		{"certutil", "-A", "-d", "sql:" + etc, "-n", "CA", "-t", "CT,,", "-a", "-i", filepath.Join(dir, "ca.pem")},
		{"openssl", "pkcs12", "-export", "-inkey", "server.key", "-in", "server.pem", "-name", "Server-Cert", "-passout", "pass:", "-out", "server.p12"},
		{"pk12util", "-d", "sql:" + etc, "-i", "server.p12", "-W", ""},
	} {
		program, err := lookUp("libnss3-tools openssl", command[0])
		if err != nil {
			return err
		}
		if err := runToEnd(dir, program, command[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// replaceLines gives attributes of an LDIF file new values.
func replaceLines(path string, values map[string]string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the server's configuration: %w", err)
	}
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if value, ok := values[name]; ok {
			lines[i] = name + ": " + value
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return fmt.Errorf("writing the server's configuration: %w", err)
	}
	return nil
}
