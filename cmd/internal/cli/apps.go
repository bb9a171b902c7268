package cli

import (
	"context"
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/cmd/internal/translate"
)

// appsList lists the apps of the configuration.
func appsList(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	c, err := load(sh, *path)
	if err != nil {
		return err
	}
	if len(c.Apps) == 0 {
		_, err := fmt.Fprintln(sh.stdout, `no apps are configured: "persona apps add PRESET URL" prints the lines for one`)
		return err
	}
	table := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPRESET\tURL\tAUTHORITY\tGROUPS")
	for i := range c.Apps {
		a := &c.Apps[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", a.ID, orDash(a.Preset), a.URL, a.Authority, orDash(strings.Join(a.Groups, ", ")))
	}
	return table.Flush()
}

// appsShow shows what to paste into an app.
func appsShow(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	authority := flags.String("authority", "", "`host` of the app, where several identity hosts have one with this id")
	secret := flags.Bool("secret", false, "show the secret, too")
	ids, err := parseMixed(sh, flags, args)
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return wrong("apps show: one app is shown at a time", "persona apps show ID; persona apps list has the ids")
	}
	c, err := load(sh, *path)
	if err != nil {
		return err
	}
	var found []*website.App
	var all, hosts []string
	for i := range c.Apps {
		a := &c.Apps[i]
		all = append(all, a.ID)
		if a.ID == ids[0] && (*authority == "" || a.Authority == *authority) {
			found, hosts = append(found, a), append(hosts, a.Authority)
		}
	}
	switch {
	case len(all) == 0:
		return wrong("the configuration has no apps", "persona apps add PRESET URL prints the lines for one")
	case len(found) == 0 && slices.Contains(all, ids[0]):
		return wrong(fmt.Sprintf("%q has no app %q", *authority, ids[0]), "persona apps list tells which host has it")
	case len(found) == 0:
		return wrong(fmt.Sprintf("there is no app %q in the configuration", ids[0]), "there is "+strings.Join(all, ", "))
	case len(found) > 1:
		return wrong(fmt.Sprintf("several identity hosts have an app %q", ids[0]), "name one with -authority: "+strings.Join(hosts, ", "))
	}
	text, err := translate.Guide(c, found[0], *secret)
	if err != nil {
		hint := "correct url in the configuration"
		if *secret {
			hint = "without -secret it is shown where the secret is"
		}
		return &failure{problem: "showing the app " + ids[0], cause: err, hint: hint, code: exitUsage}
	}
	_, err = io.WriteString(sh.stdout, text)
	return err
}

// appsAdd makes the secret of an app and prints the lines of the configuration for it, which it leaves as it is.
func appsAdd(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	id := flags.String("id", "", "client `id`; by default the name of the preset")
	authority := flags.String("authority", "", "identity `host` whose people may use the app, where there are several")
	shared := flags.Bool("allow-shared-origin", false, "accept an identity host that shares its origin with a website, whose scripts could then sign in to the app")
	write := flags.Bool("write", false, "write the secret into a file beside the configuration instead of printing it")
	words, err := parseMixed(sh, flags, args)
	if err != nil {
		return err
	}
	if len(words) != 2 {
		return wrong("apps add: it needs a preset and the address of the app", "persona apps add grafana https://grafana.example.com")
	}
	app := website.App{ID: *id, Preset: words[0], URL: words[1], Authority: *authority, AllowSharedOrigin: *shared}
	if app.ID == "" {
		app.ID = app.Preset
	}
	file := configPath(*path)
	if file == "" {
		return wrong("apps are configured in a file, and there is none", `name one with -config; "persona setup" writes one`)
	}
	c, err := load(sh, file)
	if err != nil {
		return err
	}
	for _, value := range [][2]string{{"apps.preset", app.Preset}, {"apps.id", app.ID}, {"apps.url", app.URL}} {
		var faults config.Faults
		if errors.As(config.CheckText(value[0], value[1]), &faults) {
			return wrong("apps add: "+faults[0].Problem, faults[0].Cure)
		}
	}
	title, err := translate.Title(app.Preset, app.ID, app.URL)
	if err != nil {
		return &failure{problem: "apps add", cause: err, hint: "persona apps add grafana https://grafana.example.com", code: exitUsage}
	}
	several, err := placeApp(c, &app)
	if err != nil {
		return err
	}
	secret, err := newSecret(sh.random)
	if err != nil {
		return err
	}
	secretFile := filepath.Join(filepath.Dir(file), app.ID+".secret")
	if _, err := os.Lstat(secretFile); err == nil {
		return refuseSecretFile(secretFile)
	}
	if *write {
		if err := writeSecret(secretFile, secret); err != nil {
			return err
		}
	}
	return printApp(sh.stdout, app, title, added{
		config: file, secret: secret, secretFile: secretFile, written: *write, first: len(c.Apps) == 0, several: several,
	})
}

// placeApp gives an app its identity host, and reports whether there are several. It refuses what the
// configuration would refuse of the new entry.
func placeApp(c *config.Config, app *website.App) (several bool, err error) {
	hosts := map[string]config.Host{}
	var names []string
	for _, host := range c.Hosts() {
		if host.Role == config.RoleIdentity {
			hosts[host.Name], names = host, append(names, host.Name)
		}
	}
	if app.Authority == "" && len(names) == 1 {
		app.Authority = names[0]
	}
	host, known := hosts[app.Authority]
	switch {
	case len(names) == 0:
		return false, wrong("the configuration has no identity host, where people sign in", "give a domain a directory first")
	case app.Authority == "":
		return false, wrong("apps add: the configuration has several identity hosts", "name one with -authority: "+strings.Join(names, ", "))
	case !known:
		return false, wrong(fmt.Sprintf("%q is no identity host of the configuration", app.Authority), "there is "+strings.Join(names, ", "))
	case host.Upstream != nil && !app.AllowSharedOrigin:
		return false, wrong(host.Name+" shares its origin with a website: its scripts could read the codes of the app",
			fmt.Sprintf("give sign-in a host of its own, as in authority: id.%s; or accept it with -allow-shared-origin", host.Name))
	case slices.ContainsFunc(c.Apps, func(a website.App) bool { return a.ID == app.ID && a.Authority == app.Authority }):
		return false, wrong(fmt.Sprintf("%s has an app %q already", app.Authority, app.ID), "give this one another id with -id; persona apps show "+app.ID+" shows that one")
	}
	app.AllowSharedOrigin = host.Upstream != nil
	return len(names) > 1, nil
}

// newSecret returns a secret of 240 random bits in small letters and digits, which no syntax interprets.
func newSecret(random io.Reader) (string, error) {
	raw := make([]byte, 30)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("making a secret: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw)), nil
}

func refuseSecretFile(file string) error {
	return wrong(file+" exists already, and apps add overwrites nothing", "give the app another id with -id, or move the file away")
}

// writeSecret writes a new file for its owner alone. If that fails, none is left.
func writeSecret(path, secret string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return refuseSecretFile(path)
	case err != nil:
		return &failure{problem: "writing the secret", cause: err, hint: "run it as a user that may write there; without -write the secret is printed", code: exitFailure}
	}
	_, err = io.WriteString(file, secret+"\n")
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return &failure{problem: "writing the secret", cause: errors.Join(err, os.Remove(path)), hint: "without -write the secret is printed", code: exitFailure}
	}
	return nil
}

// added is what an administrator has to know of a new app beside the app itself.
type added struct {
	config, secret, secretFile string
	written                    bool // the secret is in its file
	first                      bool // the configuration has no apps yet
	several                    bool // there are several identity hosts
}

func printApp(out io.Writer, app website.App, title string, a added) error {
	var b strings.Builder
	if a.written {
		fmt.Fprintf(&b, "Wrote the secret to %s, which its owner alone can read: let that be the user that runs persona.\n\n", a.secretFile)
	} else {
		fmt.Fprintf(&b, "The secret, which is shown this once. Write it to %s, which the user that runs persona alone should be able to read:\n\n%s\n\n", a.secretFile, a.secret)
	}
	if a.first {
		fmt.Fprintf(&b, "Add to %s:\n\napps:\n", a.config)
	} else {
		fmt.Fprintf(&b, "Add to apps in %s:\n\n", a.config)
	}
	fmt.Fprintf(&b, "  - id: %q\n    preset: %s\n    url: %s\n    secret_file: %q\n", app.ID, app.Preset, app.URL, filepath.Base(a.secretFile))
	if a.several {
		fmt.Fprintf(&b, "    authority: %s\n", app.Authority)
	}
	if app.AllowSharedOrigin {
		b.WriteString("    allow_shared_origin: true\n")
	}
	fmt.Fprintf(&b, "\nWithout groups everyone of the directory may use it. What to paste into %s: persona apps show %s\n", title, app.ID)
	_, err := io.WriteString(out, b.String())
	return err
}
