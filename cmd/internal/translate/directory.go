package translate

import (
	"crypto/tls"
	"fmt"
	"slices"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/schema"
)

// Directory translates the directory called name of a configuration with these hosts. Clock, log
// and observer are the caller's.
func Directory(c *config.Config, hosts []config.Host, name string) (ldapauth.Config, error) {
	from := c.Directories[name]
	preset := schema.Custom()
	if from.Preset != config.PresetCustom {
		var err error
		if preset, err = schema.Preset(string(from.Preset)); err != nil {
			return ldapauth.Config{}, err
		}
	}
	var domains []string
	for _, host := range hosts {
		if host.Role == config.RoleIdentity && host.Directory == name {
			domains = append(domains, host.MailDomains...)
		}
	}
	slices.Sort(domains)
	wants := c.Wants(hosts, name)
	settings := ldapauth.Config{
		Name:              name,
		URLs:              from.URLs,
		SRV:               from.SRV,
		TLSServerName:     from.TLSServerName,
		StartTLS:          from.StartTLS,
		InsecurePlaintext: from.InsecurePlaintext,
		Roots:             from.Roots,
		BindDN:            from.BindDN,
		BindPassword:      ldapauth.Secret(from.BindPassword.Reveal()),
		BaseDNs:           from.BaseDNs,
		RequiredGroup:     from.RequiredGroup,
		Schema: preset.Override(schema.Schema{
			UserFilter: from.UserFilter, DisabledFilter: from.DisabledFilter, IgnoreHolders: from.IgnoreHolders,
			LoginAttributes: from.LoginAttributes, AddressAttributes: from.AddressAttributes, MailIsAdminOnly: from.MailIsAdminOnly,
			ID:           schema.ID{Attribute: from.IDAttribute, Format: schema.Format(from.IDFormat)},
			PasswordTime: from.PasswordTimeAttribute,
		}),
		Domains: slices.Compact(domains),
		Groups:  wants.Groups,
		Logins:  wants.Logins,
	}
	if from.BindPassword.FromFile() {
		settings.ReadPassword = func() (ldapauth.Secret, error) {
			password, err := from.BindPassword.Reread()
			return ldapauth.Secret(password.Reveal()), err
		}
	}
	if from.ClientCertFile != "" {
		settings.ClientCertificate = func() (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(from.ClientCertFile, from.ClientKeyFile)
			if err != nil {
				return nil, fmt.Errorf("reading the client certificate for the directory: %w", err)
			}
			return &certificate, nil
		}
	}
	return settings, nil
}
