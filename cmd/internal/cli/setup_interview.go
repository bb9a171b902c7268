package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"persona-sidecar/cmd/internal/config"
)

// none is the answer that leaves out what need not be.
const none = "none"

// interview asks at a terminal for what the flags did not say, one question at a
// time. It writes nothing.
type interview struct {
	sh   shell
	a    *answers
	said map[string]bool // flags that were given, even with an empty value
}

// question is one question as it is shown. Its reason is one line.
type question struct {
	title, reason string
	offer         string // what an empty answer means; "" where nothing can be guessed
	optional      bool   // may be answered with none
	// refuse returns what is wrong with an answer, "" for nothing. It is asked
	// before the configuration is.
	refuse func(text string) string
}

// choice is one of several answers.
type choice struct {
	key  string
	text string
}

// given returns the flags that were given.
func given(flags *flag.FlagSet) map[string]bool {
	said := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { said[f.Name] = true })
	return said
}

// run asks. Flags that are wrong by themselves are refused before the first
// question, so that nobody answers in vain.
func (i *interview) run(ctx context.Context) error {
	if err := i.checkFlags(); err != nil {
		return err
	}
	fmt.Fprint(i.sh.stderr, "An empty answer takes what stands in brackets. Nothing is written before the last answer.\n")
	for _, ask := range []func(context.Context) error{
		i.askDomain, i.askLayout, i.askWebsite, i.askCertificates, i.askDirectory, i.askBind, i.askFiles, i.askPassword,
	} {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(i.sh.stderr)
	return nil
}

// checkFlags refuses what no answer could mend.
func (i *interview) checkFlags() error {
	if err := i.a.contradiction(); err != nil {
		return err
	}
	if i.said["out"] {
		if problem := taken(i.a.Out); problem != "" {
			return exists(i.a.Out)
		}
	}
	if i.said["owner"] && i.a.Owner != "" {
		if _, err := parseOwner(i.a.Owner); err != nil {
			return wrong("-owner: "+err.Error(), "persona help setup")
		}
	}
	var lines []string
	faults, err := i.a.faults()
	if err != nil {
		return err
	}
	for _, fault := range faults {
		if name := i.a.flagOf(fault.Key); i.said[name] {
			lines = append(lines, fmt.Sprintf("-%s: %s (%s)", name, fault.Problem, fault.Cure))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &failure{
		problem: "setup found " + counted(len(lines), "fault"), hint: "mend the flags that are listed; nothing was written",
		detail: strings.Join(lines, "\n"), code: exitUsage,
	}
}

// ask asks for the value of a flag until it is one that the configuration takes.
// It does nothing when the flag was given.
func (i *interview) ask(ctx context.Context, flag string, into *string, q question) error {
	if i.said[flag] {
		return nil
	}
	i.show(q)
	for {
		text, err := i.sh.ask(ctx, prompt(q.offer))
		if err != nil {
			return err
		}
		if text == "" {
			text = q.offer
		}
		problem, err := i.refuse(flag, into, text, q)
		if err != nil {
			return err
		}
		if problem == "" {
			return nil
		}
		*into = ""
		i.again(problem)
	}
}

// refuse takes an answer or says what is wrong with it.
func (i *interview) refuse(flag string, into *string, text string, q question) (problem string, err error) {
	switch {
	case q.optional && text == none:
		*into = ""
		return "", nil
	case text == "":
		return "an answer is needed here", nil
	}
	if problem := unprintable(text); problem != "" {
		return problem, nil
	}
	if q.refuse != nil {
		if problem := q.refuse(text); problem != "" {
			return problem, nil
		}
	}
	*into = text
	faults, err := i.a.faults()
	if err != nil {
		return "", err
	}
	return i.reason(flag, faults), nil
}

// reason tells why an answer is refused. All else is right, so it is this answer
// that is at fault even where another place contradicts it.
func (i *interview) reason(flag string, faults config.Faults) string {
	reason := ""
	for _, fault := range faults {
		text := fmt.Sprintf("%s (%s)", fault.Problem, fault.Cure)
		name := i.a.flagOf(fault.Key)
		if name == flag {
			return text
		}
		if reason == "" {
			reason = "-" + name + ": " + text
		}
	}
	return reason
}

// choose asks for one of several answers, by its number, and returns its key. The
// first is offered.
func (i *interview) choose(ctx context.Context, title, reason string, choices []choice) (string, error) {
	i.show(question{title: title, reason: reason})
	for n, c := range choices {
		fmt.Fprintf(i.sh.stderr, "    %d  %s\n", n+1, c.text)
	}
	for {
		text, err := i.sh.ask(ctx, prompt("1"))
		if err != nil {
			return "", err
		}
		if text == "" {
			text = "1"
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(choices) {
			return choices[n-1].key, nil
		}
		i.again(fmt.Sprintf("%q is not one of the answers (write a number from 1 to %d)", text, len(choices)))
	}
}

func (i *interview) show(q question) {
	fmt.Fprintf(i.sh.stderr, "\n%s\n  %s\n", q.title, q.reason)
}

func (i *interview) again(problem string) {
	fmt.Fprintf(i.sh.stderr, "  Not so: %s\n", problem)
}

func prompt(offer string) string {
	if offer == "" {
		return "  > "
	}
	return "  [" + offer + "] > "
}

// unprintable says what is wrong with a text that holds more than characters, as
// when an arrow key was pressed.
func unprintable(text string) string {
	if !utf8.ValidString(text) {
		return "it is not UTF-8 (set the terminal to UTF-8)"
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "it holds a control character, perhaps of an arrow key (type it again)"
	}
	return ""
}

// taken says whether something is where a file shall be written.
func taken(path string) string {
	if _, err := os.Lstat(path); err == nil {
		return path + " exists already, and setup overwrites nothing (name another file)"
	}
	return ""
}

// readable says what is wrong with a file that is named as an answer.
func readable(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil && os.IsNotExist(err):
		return fmt.Sprintf("the file %s does not exist (create it, or mend the path)", path)
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return path + " is not a file (give the path of a file)"
	}
	return ""
}

// faults returns what the configuration finds wrong with the answers so far.
// Answers that are still to come are taken to be right.
func (a *answers) faults() (config.Faults, error) {
	b := *a
	b.suppose()
	if err := b.makeAbsolute(); err != nil {
		return nil, err
	}
	text, err := b.render()
	if err != nil {
		return nil, fmt.Errorf("checking the answers: %w", err)
	}
	_, faults, err := b.load(text)
	return faults, err
}

// suppose puts something right in each place that is still empty.
func (a *answers) suppose() {
	set := func(into *string, text string) {
		if *into == "" {
			*into = text
		}
	}
	set(&a.Domain, "supposed.example")
	if a.CertFile != "" || a.KeyFile != "" {
		set(&a.CertFile, "supposed.pem")
		set(&a.KeyFile, "supposed.pem")
	}
	if a.Authority != "" {
		return
	}
	set(&a.DirectoryURLs, "ldaps://ldap.supposed.example")
	set(&a.BaseDN, "dc=example")
	if !a.StartTLS {
		a.InsecurePlaintext = true // whether ldap:// may be is another question
	}
	switch {
	case a.BindDN != "" && a.BindPasswordFile == "":
		a.password = config.NewSecret("supposed")
		a.BindPasswordFile = filepath.Join(filepath.Dir(a.Out), passwordFile)
	case a.BindDN == "" && a.BindPasswordFile != "":
		a.BindDN = "cn=supposed"
	}
}

// saidAny says whether one of the flags was given.
func (i *interview) saidAny(flags ...string) bool {
	return slices.ContainsFunc(flags, func(name string) bool { return i.said[name] })
}
