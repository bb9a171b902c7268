package schema_test

import (
	"slices"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/schema"
)

func TestPresets(t *testing.T) {
	t.Parallel()
	names := schema.Presets()
	want := []string{"389ds", "activedirectory", "authentik", "freeipa", "glauth", "google", "jumpcloud", "kanidm", "lldap", "okta", "openldap", "synology", "univention"}
	if !slices.Equal(names, want) {
		t.Errorf("presets %q", names)
	}
	for _, name := range names {
		s, err := schema.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || len(s.Sources) == 0 {
			t.Errorf("%s: called %q, sources %q", name, s.Name, s.Sources)
		}
	}
	if _, err := schema.Preset("novell"); err == nil || !strings.Contains(err.Error(), "openldap") {
		t.Errorf("an unknown preset: %v", err)
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	ad, err := schema.Preset("activedirectory")
	if err != nil {
		t.Fatal(err)
	}
	got := ad.Override(schema.Schema{LoginAttributes: []string{"mail"}, DisabledFilter: "(title=left)"})
	if !slices.Equal(got.LoginAttributes, []string{"mail"}) || got.DisabledFilter != "(title=left)" || got.ID != ad.ID || got.UserFilter != ad.UserFilter {
		t.Errorf("%+v", got)
	}
	// The format belongs to the attribute that a preset names, and to no other.
	if got := ad.Override(schema.Schema{ID: schema.ID{Attribute: "entryUUID"}}); got.ID != (schema.ID{Attribute: "entryUUID", Format: schema.Text}) {
		t.Errorf("%+v", got.ID)
	}
	if got := ad.Override(schema.Schema{ID: schema.ID{Attribute: "sAMAccountName"}}); !got.ID.Reusable {
		t.Error("the next person with that name is taken for the one before")
	}
}

func TestRuleFaults(t *testing.T) {
	t.Parallel()
	for fault, rule := range map[string]schema.Rule{
		"not an attribute name":  {Attribute: "a b", Present: true, Then: schema.Disabled},
		"has 0 conditions":       {Attribute: "a", Then: schema.Disabled},
		"has 2 conditions":       {Attribute: "a", Present: true, Is: "x", Then: schema.Disabled},
		"unknown format of time": {Attribute: "a", Past: "moons", Then: schema.Disabled},
		"unknown state":          {Attribute: "a", Present: true, Then: "asleep"},
	} {
		s, err := schema.Preset("openldap")
		if err != nil {
			t.Fatal(err)
		}
		s.Account = []schema.Rule{rule}
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%v, want %q", err, fault)
		}
	}
}
