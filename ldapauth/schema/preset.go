package schema

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed presets/*.yaml
var files embed.FS

// Presets are the names of all presets, sorted. The preset custom is
// none of them.
func Presets() []string {
	entries, err := files.ReadDir("presets")
	if err != nil {
		panic(err) // they are in the program
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Custom is the preset custom, of which everything is configured but two things. The state of accounts is read from the
// attributes of RFC 2307 and draft-behera-ldap-password-policy-11, which mean the same in any directory; groups are found
// in each of the usual ways.
func Custom() Schema {
	return Schema{
		Account: []Rule{
			{Attribute: "pwdAccountLockedTime", Is: "000001010000Z", Then: Locked},
			{Attribute: "pwdAccountLockedTime", Present: true, Then: LockedForNow},
			{Attribute: "shadowExpire", Past: Days, Then: Expired},
			{Attribute: "pwdReset", Is: "TRUE", Then: MustChange},
		},
		PasswordTime: "pwdChangedTime",
		Groups:       Groups{MemberOf: "memberOf", Members: []string{"member", "uniqueMember"}, MemberNames: []string{"memberUid"}},
	}
}

// Preset returns the preset called name.
func Preset(name string) (Schema, error) {
	content, err := files.ReadFile(path.Join("presets", name+".yaml"))
	if err != nil {
		return Schema{}, fmt.Errorf("no preset is called %q; there are %s and custom", name, strings.Join(Presets(), ", "))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	var s Schema
	if err := decoder.Decode(&s); err != nil {
		return Schema{}, fmt.Errorf("preset %s: %w", name, err)
	}
	if err := s.Validate(); err != nil {
		return Schema{}, fmt.Errorf("preset %s: %w", name, err)
	}
	return s, nil
}
