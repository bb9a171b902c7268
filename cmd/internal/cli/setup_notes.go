package cli

import (
	"fmt"
	"io"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// explain tells what was written, what it means and what comes next.
func (a *answers) explain(w io.Writer, c *config.Config) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Wrote %s. It holds no secret itself.\n\nNext steps\n", a.Out)
	for i, step := range a.steps(c) {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	if notes := a.notes(c); len(notes) > 0 {
		b.WriteString("\nGood to know\n")
		for _, note := range notes {
			fmt.Fprintf(&b, "  - %s\n", note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *answers) steps(c *config.Config) []string {
	var names []string
	identity := ""
	for _, host := range c.Hosts() {
		names = append(names, host.Name)
		if host.Role == config.RoleIdentity {
			identity = host.Name
		}
	}
	machine := "this machine"
	if c.TLS.Mode == config.ModeOff {
		machine = "the proxy that ends TLS, and let it pass the Host and X-Forwarded-Proto on"
	}
	steps := []string{fmt.Sprintf("Let the DNS names lead to %s: %s", machine, strings.Join(names, ", "))}
	if c.TLS.Mode == config.ModeACME {
		steps = append(steps, "Let the Internet reach its ports 80 and 443: the certificate authority asks there")
	}
	run := "persona serve"
	if a.Out != config.DefaultPath {
		run += " -config " + a.Out
	}
	steps = append(steps, "Start it: "+run)
	if identity != "" {
		steps = append(steps, fmt.Sprintf("Sign in at https://%s/persona/", identity))
	}
	return steps
}

func (a *answers) notes(c *config.Config) []string {
	var notes []string
	if c.TLS.Mode == config.ModeACME {
		authority := "Let's Encrypt (https://letsencrypt.org/repository/)"
		if c.TLS.ACME.Directory != "" {
			authority = "the authority at " + c.TLS.ACME.Directory
		}
		notes = append(notes, "Running persona agrees to the terms of service of "+authority+".")
	}
	if a.Authority == "" && a.IDHost == "" && a.Upstream != "" {
		notes = append(notes, fmt.Sprintf("Website and identity share one origin: a script smuggled into the website can read passwords typed on /persona/.\n"+
			"    Safer is a host of its own: write \"authority: id.%s\" into the file (it is prepared there), or use -id-host.", c.Domains[0].Name))
	}
	if a.Authority == "" {
		notes = append(notes, "Keys are made at the first start in "+c.StateDir+". Back that folder up.")
	}
	if a.InsecurePlaintext {
		notes = append(notes, "Passwords cross the network to the directory in clear text. Use ldaps:// or -start-tls for anything but a test.")
	}
	if a.Authority == "" && a.BindDN == "" {
		notes = append(notes, "Without -bind-dn the directory is searched anonymously, which most directories do not allow.")
	}
	return notes
}
