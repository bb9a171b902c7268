package setup

import (
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// staging is the word of the configuration for Let's Encrypt's staging server.
const staging = "staging"

// explain returns what was written, what it means and what to do next.
func (a *answers) explain(c *config.Config, root bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Wrote %s. It holds no secret itself.\n", a.text("out"))
	if a.publishes() {
		fmt.Fprintf(&b, "Wrote %s: %s\n", documentIn(a.text("docroot")), a.document())
	}
	if !a.password.Empty() {
		fmt.Fprintf(&b, "Wrote the password of %s to %s.\n", a.text("bind-dn"), a.text("bind-password-file"))
	}
	b.WriteString("\nNext steps\n")
	for i, step := range a.steps(c, root) {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
	}
	if notes := a.notes(c); len(notes) > 0 {
		b.WriteString("\nGood to know\n")
		for _, note := range notes {
			fmt.Fprintf(&b, "  - %s\n", note)
		}
	}
	return b.String()
}

func (a *answers) steps(c *config.Config, root bool) []string {
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
		steps = append(steps, "Let the Internet reach its ports 80 and 443: the certificate authority connects to them")
	}
	for _, domain := range split(a.text("certifies")) {
		steps = append(steps, a.delegation(domain))
	}
	if a.has("authority") {
		steps = append(steps, fmt.Sprintf("Let %s sign for the domain; in the configuration of a persona there: certifies: [%s]", a.text("authority"), a.text("domain")))
	}
	if root || a.has("group") {
		written, owner := a.text("out"), "persona"
		if !a.password.Empty() {
			written += " " + a.text("bind-password-file")
		}
		if a.has("group") {
			owner += ":" + a.text("group")
		}
		steps = append(steps, fmt.Sprintf(`If a user of its own runs it, such as persona of deploy/persona.service, give it the files and the state:
         chown %s %s
         install -d -o persona -m 0700 %s`, owner, written, c.StateDir))
	}
	options := ""
	if a.text("out") != config.DefaultPath {
		options = " -config " + a.text("out")
	}
	steps = append(steps, "Start it: persona serve"+options, "Check everything from outside: persona check"+options)
	if identity != "" {
		steps = append(steps, fmt.Sprintf("Sign in at https://%s/persona/", identity))
	}
	if a.text("acme-directory") == staging {
		steps = append(steps, "Until here browsers warn. Once everything else works, remove the line \"directory: staging\" and start it again")
	}
	return steps
}

// delegation returns how the present website of a domain publishes who signs for
// it. Verifiers take the document with exactly this content type alone, and follow
// no redirect.
func (a *answers) delegation(domain string) string {
	const check = `It must answer 200 at https://%[1]s itself, without a redirect (not even to www), as application/json:
         curl -i https://%[1]s/.well-known/browserid`
	if a.publishes() {
		return fmt.Sprintf("The present website of %[1]s has the file now, and Apache what it needs. "+check, domain)
	}
	return fmt.Sprintf(`Let the present website of %[1]s answer /.well-known/browserid.
     nginx, in the site's server block:
         location = /.well-known/browserid {
             default_type application/json;
             expires 1h;
             return 200 '%[2]s';
         }
     Any other: put a file there, .well-known/browserid, with this content:
         %[2]s
     Apache, in the site's section:
         <Files "browserid">
             ForceType application/json
             <IfModule mod_headers.c>
                 Header set Cache-Control "max-age=3600"
             </IfModule>
         </Files>
     `+check, domain, a.document())
}

// document returns the document that names the identity host.
func (a *answers) document() string {
	authority := a.text("domain")
	if a.has("id-host") {
		authority = a.text("id-host")
	}
	return fmt.Sprintf(`{"authority":%q}`, authority)
}

func (a *answers) notes(c *config.Config) []string {
	var notes []string
	if c.TLS.Mode == config.ModeACME {
		authority := "the authority at " + a.text("acme-directory")
		switch a.text("acme-directory") {
		case "":
			authority = "Let's Encrypt (https://letsencrypt.org/repository/)"
		case staging:
			authority = "Let's Encrypt (https://letsencrypt.org/repository/), whose staging server is asked first"
		}
		notes = append(notes, "Running persona agrees to the terms of service of "+authority+".")
	}
	if !a.has("authority", "id-host") && a.has("upstream") {
		notes = append(notes, fmt.Sprintf("Website and identity share one origin: a script injected into the website can read passwords typed on /persona/.\n"+
			"    Safer is a host of its own: write \"authority: %s\" into the file (it is prepared there), or use -id-host.", identityHost(c.Domains[0].Name)))
	}
	if !a.has("authority") {
		notes = append(notes, "Keys are made at the first start in "+c.StateDir+". Back that folder up.")
	}
	if a.has("docroot") && !a.publishes() {
		notes = append(notes, strings.ReplaceAll(noFiles, "\n", "\n    "))
	}
	if a.has("insecure-plaintext") {
		notes = append(notes, "Passwords cross the network to the directory in clear text. Use ldaps:// or -start-tls for anything but a test.")
	}
	if !a.has("authority", "bind-dn") {
		notes = append(notes, "Without -bind-dn the directory is searched anonymously, which most directories do not allow.")
	}
	return notes
}
