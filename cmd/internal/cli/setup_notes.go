package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// staging is how the configuration calls Let's Encrypt's staging server.
const staging = "staging"

// explain tells what was written, what it means and what comes next.
func (a *answers) explain(w io.Writer, c *config.Config, o *owner) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Wrote %s. It holds no secret itself.\n", a.Out)
	if !a.password.Empty() {
		fmt.Fprintf(&b, "Wrote the password of %s to %s.\n", a.BindDN, a.BindPasswordFile)
	}
	if o != nil {
		fmt.Fprintf(&b, "They, and the state directory %s, are %s's alone.\n", a.stateDir(), o.name)
	}
	b.WriteString("\nNext steps\n")
	for i, step := range a.steps(c, o) {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	if notes := a.notes(c, o); len(notes) > 0 {
		b.WriteString("\nGood to know\n")
		for _, note := range notes {
			fmt.Fprintf(&b, "  - %s\n", note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *answers) steps(c *config.Config, o *owner) []string {
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
	for _, domain := range split(a.Certifies) {
		steps = append(steps, delegation(domain, identity))
	}
	if a.Authority != "" {
		steps = append(steps, fmt.Sprintf("Let %s sign for the domain; in the configuration of a persona there: certifies: [%s]", a.Authority, a.Domain))
	}
	steps = append(steps, a.start(o), "Look at everything from outside: "+a.command("check"))
	if identity != "" {
		steps = append(steps, fmt.Sprintf("Sign in at https://%s/persona/", identity))
	}
	if a.ACMEDirectory == staging {
		steps = append(steps, "Browsers warn until here. Once everything else works, remove the line \"directory: staging\" and start it again")
	}
	return steps
}

// delegation tells how the present website of a domain says who signs for it.
// Verifiers take the document with exactly this content type alone, and follow no
// redirect.
func delegation(domain, authority string) string {
	document, err := json.Marshal(struct {
		Authority string `json:"authority"`
	}{authority})
	if err != nil { // a struct of one string
		return ""
	}
	return fmt.Sprintf(`Put one file on the present website of %[1]s, as .well-known/browserid, with this content:
         %[2]s
     and have it served as application/json. Apache, in the site's section:
         <Files "browserid">
             ForceType application/json
         </Files>
     nginx, in the site's server block:
         location = /.well-known/browserid { default_type application/json; }
     It must answer 200 at https://%[1]s itself, without a redirect (not even to www):
         curl -i https://%[1]s/.well-known/browserid`, domain, document)
}

// command returns a command of ours for this configuration.
func (a *answers) command(name string) string {
	if a.Out == config.DefaultPath {
		return "persona " + name
	}
	return "persona " + name + " -config " + a.Out
}

func (a *answers) start(o *owner) string {
	run := a.command("serve")
	if o == nil || o.uid == 0 {
		return "Start it: " + run
	}
	return fmt.Sprintf("Start it as %s, with the right to open its ports (deploy/persona.service gives both): %s", o.name, run)
}

func (a *answers) notes(c *config.Config, o *owner) []string {
	var notes []string
	if c.TLS.Mode == config.ModeACME {
		notes = append(notes, "Running persona agrees to the terms of service of "+a.certificateAuthority()+".")
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
	for _, path := range a.foreignFiles() {
		if !o.mayRead(path) {
			notes = append(notes, fmt.Sprintf("%s may not read %s yet: chown %[1]s %[2]s, and let that user enter the folders above it.", o.name, path))
		}
	}
	return notes
}

func (a *answers) certificateAuthority() string {
	const letsEncrypt = "Let's Encrypt (https://letsencrypt.org/repository/)"
	switch a.ACMEDirectory {
	case "":
		return letsEncrypt
	case staging:
		return letsEncrypt + ", whose staging server is asked first"
	}
	return "the authority at " + a.ACMEDirectory
}

// foreignFiles returns the files that the configuration names and setup did not
// write.
func (a *answers) foreignFiles() []string {
	files := []string{a.DirectoryCAFile, a.ACMECAFile, a.CertFile, a.KeyFile}
	if a.password.Empty() {
		files = append(files, a.BindPasswordFile)
	}
	var named []string
	for _, path := range files {
		if path != "" {
			named = append(named, path)
		}
	}
	return named
}
