package world

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// The names in the folder. The configuration file names the same.
const (
	fileConfig   = "persona.yaml"
	fileLog      = "persona.log"
	fileShopLog  = "shop.log"
	fileCA       = "ca.pem"
	fileTLS      = "tls.pem"
	fileTLSKey   = "tls-key.pem"
	filePassword = "directory-password"
)

//go:embed persona.yaml.tmpl
var configTemplate string

// settings fill in the configuration file.
type settings struct {
	HTTPS, HTTP           string
	PublicHTTPS           int
	Host, Alias, Delegate string
	Upstream              string
	DirectoryURL          string
	BindDN, BaseDN        string
	ShopOrigin            string
}

// folder is the temporary folder of a world.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) writeConfig(s settings) error {
	parsed, err := template.New(fileConfig).Parse(configTemplate)
	if err != nil {
		return fmt.Errorf("parsing the configuration's template: %w", err)
	}
	file, err := os.OpenFile(f.path(fileConfig), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := errors.Join(parsed.Execute(file, s), file.Close()); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

func (f folder) write(name string, content []byte) error {
	if err := os.WriteFile(f.path(name), content, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
