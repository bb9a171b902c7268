package config

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Load reads the configuration from the file at path, completed by the PERSONA_*
// variables in environ (each "NAME=value", as from os.Environ). With path ""
// the environment alone is the configuration.
//
// Variables speak of one domain and one directory: they give keys that the file
// leaves out, when it has at most one of those. The same key in both is a fault.
//
// Relative paths of the file are taken from the folder of the file, relative
// paths of the environment from the working directory.
//
// The error is [Faults] for whatever the operator can mend by editing, [ErrNone]
// when there is no configuration at all, and otherwise tells why the file could
// not be read; it then wraps the cause, such as fs.ErrNotExist.
func Load(path string, environ []string) (*Config, error) {
	if path == "" {
		return read("", nil, environ)
	}
	data, err := readStart(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return read(path, data, environ)
}

// readStart returns a file, or as much of it as shows that it is too large.
func readStart(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFile+1))
}

// read is Load after the file was read. path is "" without a file.
func read(path string, data []byte, environ []string) (*Config, error) {
	r := &reader{file: path, variables: map[*yaml.Node]string{}}
	root := &yaml.Node{Kind: yaml.MappingNode}
	if path != "" {
		parsed, fault := parse(path, data)
		if fault != nil {
			return nil, Faults{*fault}
		}
		root = parsed
	}
	speaks := r.overlay(root, environ)
	if path == "" && !speaks && len(r.faults) == 0 {
		return nil, ErrNone
	}
	c := r.config(value{r: r, node: root})
	if len(r.faults) > 0 {
		return nil, sorted(r.faults)
	}
	c.SecretFiles = r.secrets
	c.Warnings = sorted(r.warnings)
	return c, nil
}

// sorted returns faults in the order in which the operator meets their places.
func sorted(faults Faults) Faults {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		byEnvironment := cmp.Compare(boolean(a.File == Environment), boolean(b.File == Environment))
		if a.File == Environment && byEnvironment == 0 {
			return cmp.Compare(a.Key, b.Key)
		}
		return cmp.Or(byEnvironment, cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(faults)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// config reads the whole. Its result is of use only when no fault was recorded.
func (r *reader) config(root value) *Config {
	c := &Config{
		StateDir: "/var/lib/persona",
		Listen:   Listen{HTTPS: ":443", HTTP: ":80", Admin: "127.0.0.1:9180", PublicHTTPS: 443},
		TLS:      TLS{Mode: ModeACME},
		Identity: Identity{CertificateLifetime: time.Hour, SessionLifetime: 8 * time.Hour},
		Lookups:  Lookups{Ports: []int{443}},
		Hub:      Hub{Enabled: true},
		Verifier: Verifier{Enabled: true, Rate: 100},
		Throttle: Throttle{Failures: 4, Window: 10 * time.Minute},
		Log:      Log{Level: "info", Format: FormatJSON},
	}
	var entries []entry
	var hubs []item
	in := map[string]section{}
	top := root.section(fields{
		"state_dir":       func(v value) { c.StateDir = v.filePath() },
		"listen":          func(v value) { in["listen"] = v.listen(&c.Listen) },
		"tls":             func(v value) { in["tls"] = v.tls(&c.TLS) },
		"trusted_proxies": func(v value) { c.TrustedProxies = v.trustedProxies() },
		"domains":         func(v value) { entries = v.domains() },
		"directories":     func(v value) { c.Directories, in["directories"] = v.directories() },
		"identity":        func(v value) { hubs = v.identity(&c.Identity) },
		"throttle":        func(v value) { v.throttle(&c.Throttle) },
		"log":             func(v value) { v.log(&c.Log) },
		"lookups":         func(v value) { v.lookups(&c.Lookups) },
		"hub":             func(v value) { v.hubSection(&c.Hub) },
		"verifier":        func(v value) { in["verifier"] = v.verifier(&c.Verifier) },
	})
	for _, e := range entries {
		c.Domains = append(c.Domains, e.Domain)
	}
	for _, key := range []string{"listen", "tls", "directories"} {
		if !top.has(key) {
			in[key] = section{value: top.at(key)}
		}
	}
	top.checkTLS(c, in["tls"], in["listen"])
	in["listen"].checkListeners(c.Listen)
	top.checkDomains(entries, c)
	in["directories"].checkUse(entries)
	checkHubs(hubs, c.Hosts())
	in["verifier"].checkVerifier(c.Verifier, c.Hosts())
	return c
}

// identity reads the section and returns the hubs with their places.
func (v value) identity(i *Identity) (hubs []item) {
	v.section(fields{
		"certificate_lifetime": func(v value) { i.CertificateLifetime = v.duration(time.Minute, 24*time.Hour) },
		"session_lifetime":     func(v value) { i.SessionLifetime = v.duration(5*time.Minute, 168*time.Hour) },
		"hubs":                 func(v value) { hubs = v.items(value.hub) },
		"legacy_client_keys":   func(v value) { i.LegacyClientKeys = v.boolean() },
	})
	i.Hubs = texts(hubs)
	return hubs
}

func (v value) throttle(t *Throttle) {
	v.section(fields{
		"failures": func(v value) { t.Failures = v.integer(1, 100) },
		"window":   func(v value) { t.Window = v.duration(time.Minute, 24*time.Hour) },
	})
}

func (v value) log(l *Log) {
	v.section(fields{
		"level":  func(v value) { l.Level = v.word([]string{"debug", "info", "warn", "error"}, nil) },
		"format": func(v value) { l.Format = Format(v.word([]string{string(FormatJSON), string(FormatConsole)}, nil)) },
	})
}
