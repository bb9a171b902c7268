package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/schema"
)

const (
	// wantedSamples is how many addresses are shown for the operator to recognize.
	wantedSamples = 3
	// slowSearch is the time above which a search of a sign-in hints at an index that is missing.
	slowSearch = 500 * time.Millisecond
)

// peopleSteps look at some people, as the service account sees them.
func (d *Directory) peopleSteps() []report.Step {
	ofPeople := func(run func(schema.Schema) report.Finding) func(context.Context) report.Finding {
		return func(context.Context) report.Finding {
			if len(d.sample.People) == 0 {
				return report.Skip("there are no people to look at")
			}
			return run(d.Settings.Schema)
		}
	}
	steps := []report.Step{
		{Name: "preset", Run: d.describePreset},
		{Name: "people", Run: d.answered(d.findPeople)},
		{Name: "ids", Run: ofPeople(d.checkIDs)},
		{Name: "sample addresses", Run: ofPeople(d.sampleAddresses)},
		{Name: "account state", Run: ofPeople(d.checkStates)},
		{Name: "password time", Run: ofPeople(d.checkPasswordTime)},
		{Name: "searches", Run: d.answered(d.timeSearches)},
	}
	if d.Section.RequiredGroup != "" {
		steps = append(steps, d.ask("required group", d.Section.RequiredGroup, (*ldapauth.Directory).CheckRequiredGroup))
	}
	if d.Section.PasswordChange.Method != "" {
		steps = append(steps, d.ask("password change", "the server offers it", (*ldapauth.Directory).CheckPasswordChange))
	}
	return steps
}

// ask is a step that asks the directory whether something is as it is configured, and says right when it is.
func (d *Directory) ask(step, right string, check func(*ldapauth.Directory, context.Context) error) report.Step {
	return report.Step{Name: step, Run: d.answered(func(ctx context.Context, opened *ldapauth.Directory) report.Finding {
		if err := check(opened, ctx); err != nil {
			return report.Error("", err, lookAtItsLog)
		}
		return report.Pass("%s", right)
	})}
}

// answered opens the directory for a step, once it is known that one of its servers answers.
func (d *Directory) answered(run func(context.Context, *ldapauth.Directory) report.Finding) func(context.Context) report.Finding {
	return func(ctx context.Context) report.Finding {
		if !d.answering {
			return report.Skip("the directory does not answer")
		}
		opened, err := ldapauth.New(d.Settings)
		if err != nil {
			return report.Error("", err, correctSection)
		}
		defer func() { _ = opened.Close() }()
		return run(ctx, opened)
	}
}

// describePreset says where the knowledge of the directory comes from.
func (d *Directory) describePreset(context.Context) report.Finding {
	s, name := d.Settings.Schema, string(d.Section.Preset)
	switch {
	case d.Section.Preset == config.PresetCustom:
	case s.Tried == "":
		name += ", by documentation: it has not been tried against a real server"
	default:
		name += ", tried against " + s.Tried
	}
	if s.ClientCertificate && d.Section.ClientCertFile == "" {
		return report.Warn("set client_cert_file and client_key_file", "%s; its servers want a client certificate", name)
	}
	opened, err := ldapauth.New(d.Settings)
	if err != nil {
		return report.Error("", err, correctSection)
	}
	defer func() { _ = opened.Close() }()
	if lasts := opened.SessionLifetime(); lasts > 0 {
		name += fmt.Sprintf("; sessions end after %s, because no entry there tells that its person may not sign in any more", lasts)
	}
	return report.Pass("%s", name)
}

// findPeople reads the sample that the next steps look at.
func (d *Directory) findPeople(ctx context.Context, opened *ldapauth.Directory) report.Finding {
	var err error
	if d.sample, err = opened.Sample(ctx, wantedSamples); err != nil {
		return report.Error("", err, lookAtItsLog)
	}
	if d.sample.Read == 0 {
		return report.Fail("look at base_dn, user_filter, and whether "+d.account()+" may read there",
			"no entry below %s matches user_filter %s", d.bases(), d.Settings.Schema.UserFilter)
	}
	return report.Pass("%s; user_filter is %s", report.Counted(d.sample.Read, "entry")+" read", d.Settings.Schema.UserFilter)
}

// checkIDs looks at what identifies people.
func (d *Directory) checkIDs(s schema.Schema) report.Finding {
	var without []ldapauth.Entry
	for _, e := range d.sample.People {
		if e.NoID != nil {
			without = append(without, e)
		}
	}
	switch {
	case len(without) > 0:
		text := fmt.Sprintf("%d of %d people cannot be identified, and cannot sign in; %s: %s", len(without), len(d.sample.People), without[0].DN, without[0].NoID)
		return report.Fail(identity.Hint(without[0].NoID), "%s", text)
	case s.ID.Reusable:
		return report.Warn("set id_attribute to one that is never given again, such as entryUUID",
			"%s may be given to another person later, who then has the sessions of the first", s.ID.Attribute)
	}
	return report.Pass("%s, as %s", s.ID.Attribute, d.sample.People[0].Person.ID)
}

// sampleAddresses shows some addresses, or why there are none.
func (d *Directory) sampleAddresses(s schema.Schema) report.Finding {
	switch {
	case s.SelfService && !s.MailIsAdminOnly:
		return report.Fail("forbid it in the directory's settings, then set mail_is_admin_only: true",
			"with the preset %s no address counts: people can write their own mail attribute there", s.Name)
	case len(d.Settings.Domains) == 0:
		return report.Warn("name it as the directory of a domain, or remove it", "no domain of the configuration uses this directory, so no address can be certified")
	case !slices.ContainsFunc(d.sample.People, func(e ldapauth.Entry) bool { return e.NoID == nil }):
		return report.Skip("no one can be identified")
	case len(d.sample.Addresses) > 0:
		return report.Pass("%s", strings.Join(d.sample.Addresses, ", "))
	}
	var (
		f                             report.Faults
		foreign                       []string // domains
		refused                       []string // people with addresses, and their state
		contested, hidden, unreadable []string // addresses and values
		without                       int      // people without any value
	)
	for _, e := range d.sample.People {
		if len(e.Addresses) == 0 {
			without++
		}
		if e.Account != identity.OK && len(e.Person.Addresses) > 0 {
			refused = append(refused, e.DN+" is "+e.Account.String())
		}
		for _, v := range e.Addresses {
			switch v.Reason {
			case "", mailbox.Repeated, mailbox.SelfService, mailbox.TooMany, mailbox.OtherPrefix:
			case mailbox.OtherDomain:
				if !slices.Contains(foreign, v.Address.Domain()) {
					foreign = append(foreign, v.Address.Domain())
				}
			case mailbox.Contested:
				contested = append(contested, fmt.Sprintf("%s of %s and of %s", v.Address, e.DN, strings.Join(othersOf(e, v), " and of ")))
			case mailbox.NotSearchable, mailbox.Ignored:
				hidden = append(hidden, fmt.Sprintf("%s in %s of %s", v.Address, v.Attribute, e.DN))
			default:
				unreadable = append(unreadable, fmt.Sprintf("%q in %s of %s: %s", v.Written, v.Attribute, e.DN, v.Reason))
			}
		}
	}
	slices.Sort(foreign)
	few := func(texts []string) string { return strings.Join(texts[:min(len(texts), wantedSamples)], "; ") }
	if len(contested) > 0 {
		f.Fail("take each of them from one of the entries, or let ignore_holders select those that do not count", "addresses of two entries count for neither: %s", few(contested))
	}
	if len(foreign) > 0 {
		f.Fail(fmt.Sprintf("if these people are to sign in, name their mail domain: certifies: [%s]", strings.Join(foreign, ", ")),
			"there are addresses of %s, and this directory is for %s", strings.Join(foreign, ", "), strings.Join(d.Settings.Domains, ", "))
	}
	if len(hidden) > 0 {
		f.Fail("let "+d.account()+" search by these attributes, and look at ignore_holders", "a search for these addresses does not find their own entries: %s", few(hidden))
	}
	if len(unreadable) > 0 {
		f.Fail("correct these values", "values that are dropped: %s", few(unreadable))
	}
	if len(refused) > 0 {
		f.Fail("open an account, or look at another one with persona directory whois", "those who have an address may not sign in: %s", few(refused))
	}
	if without > 0 {
		f.Fail("set address_attributes to those that have the addresses, and let "+d.account()+" read them", "%d of %d people show no value of %s", without, len(d.sample.People), strings.Join(s.AddressAttributes, ", "))
	}
	return f.Finding("%s", "")
}

// othersOf are the DNs of other entries that have an address of this one.
func othersOf(e ldapauth.Entry, v mailbox.Value) []string {
	return slices.DeleteFunc(slices.Clone(v.Holders), func(dn string) bool { return dn == e.DN })
}

// checkStates tells which attributes of the state of accounts can be seen.
func (d *Directory) checkStates(s schema.Schema) report.Finding {
	if len(s.Account) == 0 && s.DisabledFilter == "" {
		return report.Pass("the preset knows no attribute of it: only the next bind refuses")
	}
	var seen, unseen, hidden []string
	for _, rule := range s.Account {
		switch {
		case d.sample.Seen[strings.ToLower(rule.Attribute)] > 0:
			seen = append(seen, rule.Attribute)
		case rule.Always:
			hidden = append(hidden, rule.Attribute)
		default:
			unseen = append(unseen, rule.Attribute)
		}
	}
	if hidden = slices.Compact(hidden); len(hidden) > 0 {
		return report.Warn("let "+d.account()+" read them", "no entry shows %s, which all have: accounts that are disabled or expired look as others", strings.Join(hidden, ", "))
	}
	text := "no entry is in a state that is told by an attribute"
	if seen = slices.Compact(seen); len(seen) > 0 {
		text = "told by " + strings.Join(seen, ", ")
	}
	if unseen = slices.Compact(unseen); len(unseen) > 0 {
		text += "; " + strings.Join(unseen, ", ") + ": of none of these people"
	}
	return report.Pass("%s", text)
}

// checkPasswordTime looks whether a changed password can end sessions.
func (d *Directory) checkPasswordTime(s schema.Schema) report.Finding {
	name := s.PasswordTime
	count := d.sample.Seen[strings.ToLower(name)]
	switch {
	case name == "":
		return report.Pass("not known of this kind of directory: a changed password ends no session")
	case count > 0:
		return report.Pass("%s of %d of %d people", name, count, d.sample.Read)
	}
	hint := "let " + d.account() + " read it"
	switch strings.ToLower(name) {
	case "pwdchangedtime":
		hint += ", and let the directory write it: slapd's overlay ppolicy does, at the next change"
	case "pwdupdatetime":
		hint += ", and let the directory write it: passwordTrackUpdateTime: on in 389 Directory Server's password policy, at the next change"
	}
	return report.Warn(hint, "no entry shows %s: a changed password ends no session", name)
}

// timeSearches measures what each sign-in searches for.
func (d *Directory) timeSearches(ctx context.Context, opened *ldapauth.Directory) report.Finding {
	id := ""
	if len(d.sample.People) > 0 {
		id = d.sample.People[0].Person.ID
	}
	times, err := opened.Times(ctx, id)
	if err != nil {
		return report.Error("", err, lookAtItsLog)
	}
	var f report.Faults
	var texts []string
	for _, t := range times {
		precision := time.Millisecond
		if t.Took < 10*time.Millisecond {
			precision /= 10
		}
		took := fmt.Sprintf("by %s %s", t.By, t.Took.Round(precision))
		texts = append(texts, took)
		if t.Took > slowSearch {
			f.Warn("index "+strings.Join(t.Attributes, ", ")+" for equality", "slow: %s", took)
		}
	}
	return f.Finding("%s", strings.Join(texts, ", "))
}
