package website

import (
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
)

// Headers say in which fields of a request a website is told who is signed in.
type Headers struct {
	// On reports that the key is true, or has keys below it.
	On bool
	// The names of the fields. remote: Remote-User, Remote-Email, Remote-Name,
	// Remote-Groups, Remote-Id. webauth: X-Webauth-User, -Email, -Fullname, -Groups, -Id.
	// jenkins: X-Forwarded-User, -Mail, -DisplayName, -Groups, with | between the groups.
	// x-remote-user: X-Remote-User, -Email, -Name, -Groups, -Id. Each of them also has
	// X-Persona-Assertion. custom has those of names alone.
	Preset string `yaml:"preset" as:"word remote webauth jenkins x-remote-user custom" default:"remote"`
	// Other names than the preset's; the empty text leaves a field out.
	Names Names `yaml:"names"`
	// What the field user holds: login, the name of the account as the directory spells it;
	// email, the first address; or id, which never changes and is never given to another
	// person. It is never what was typed.
	User string `yaml:"user" as:"word login email id" default:"login"`
	// The groups that are sent, by name; a * at the end stands for any rest. Without the key
	// all groups of a person are sent.
	SendGroups []string `yaml:"send_groups" as:"groupPattern" example:"[editors, \"wiki-*\"]"`
	// The character between groups; without the key a comma, and | with preset jenkins. A
	// group whose name holds it is left out of the field, because the website would take it
	// for two.
	GroupSeparator string `yaml:"group_separator" as:"separator" example:"\",\""`
	// How a name that is not ASCII is written: utf8, percent, or omit, which leaves the field
	// out. quoted_printable writes all fields but the assertion so, which Grafana reads.
	NameEncoding string `yaml:"name_encoding" as:"word utf8 percent quoted_printable omit" default:"utf8"`
	// The audience of the signed assertion; without the key the origin of the domain.
	Audience string `yaml:"audience" as:"origin" example:"https://example.com"`
	// Cookies by which the application itself keeps people signed in. They are expired when
	// a person's session has ended.
	SignOutCookies []Cookie `yaml:"sign_out_cookies"`
}

// Names are the names of the fields; "" is a field that is not sent.
type Names struct {
	// The field with the account.
	User string `yaml:"user" as:"fieldName" example:"Remote-User"`
	// The field with the first address.
	Email string `yaml:"email" as:"fieldName" example:"Remote-Email"`
	// The field with the name of the person.
	Name string `yaml:"name" as:"fieldName" example:"Remote-Name"`
	// The field with the groups.
	Groups string `yaml:"groups" as:"fieldName" example:"Remote-Groups"`
	// The field with what identifies the person and never changes.
	ID string `yaml:"id" as:"fieldName" example:"Remote-Id"`
	// The field with the signed assertion: a JWT, whose keys are at
	// /persona/assertion/jwks.json of the identity host.
	Assertion string `yaml:"assertion" as:"fieldName" example:"X-Persona-Assertion"`
}

// Cookie is a cookie of the website.
type Cookie struct {
	// Required. The name of the cookie.
	Name string `yaml:"name" as:"cookieName" example:"i_like_gitea"`
	// The path that the application sets it with.
	Path string `yaml:"path" as:"cookiePath" default:"/"`
}

const (
	presetCustom    = "custom"
	quotedPrintable = "quoted_printable" // is of all fields
)

// preset returns the names of a preset, and what stands between groups.
func preset(name string) (Names, string) {
	const assertion = "X-Persona-Assertion"
	switch name {
	case "remote":
		return Names{"Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Id", assertion}, ","
	case "webauth": // Gitea's defaults; Grafana has the first
		return Names{"X-Webauth-User", "X-Webauth-Email", "X-Webauth-Fullname", "X-Webauth-Groups", "X-Webauth-Id", assertion}, ","
	case "jenkins": // defaults of its plug-in reverse-proxy-auth
		return Names{"X-Forwarded-User", "X-Forwarded-Mail", "X-Forwarded-DisplayName", "X-Forwarded-Groups", "", assertion}, "|"
	case "x-remote-user": // Radicale has the first
		return Names{"X-Remote-User", "X-Remote-Email", "X-Remote-Name", "X-Remote-Groups", "X-Remote-Id", assertion}, ","
	}
	return Names{}, ","
}

// Finding is a problem of a key below the one that is checked; the key "" is that itself.
type Finding struct {
	Key string
	kind.Problem
}

func fault(key, problem, cure string) Finding {
	return Finding{key, kind.Problem{Text: problem, Cure: cure}}
}

func warning(key, problem, cure string) Finding {
	return Finding{key, kind.Problem{Text: problem, Cure: cure, Warning: true}}
}

// Complete takes what was not given from the preset, and returns what is wrong with the
// keys together. given reports whether a key below has a value.
func (h *Headers) Complete(given func(key string) bool) []Finding {
	if !h.On {
		return nil
	}
	var found []Finding
	names, separator := preset(h.Preset)
	if !given("group_separator") {
		h.GroupSeparator = separator
	}
	first := map[string]string{} // key by folded name
	for _, field := range []struct {
		key      string
		name     *string
		ofPreset string
		about    []string // keys that are about this field alone
	}{
		{"names.user", &h.Names.User, names.User, []string{"user"}},
		{"names.email", &h.Names.Email, names.Email, nil},
		{"names.name", &h.Names.Name, names.Name, []string{"name_encoding"}},
		{"names.groups", &h.Names.Groups, names.Groups, []string{"send_groups", "group_separator"}}, // the assertion has all groups
		{"names.id", &h.Names.ID, names.ID, nil},
		{"names.assertion", &h.Names.Assertion, names.Assertion, []string{"audience"}},
	} {
		if !given(field.key) {
			*field.name = field.ofPreset
		}
		folded := strings.ToLower(*field.name)
		switch other, taken := first[folded]; {
		case folded == "":
			for _, key := range field.about {
				if given(key) && (key != "name_encoding" || h.NameEncoding != quotedPrintable) {
					found = append(found, warning(key, "has no effect, because "+field.key+" is not sent", "remove it, or name the field"))
				}
			}
		case taken:
			found = append(found, fault(field.key, fmt.Sprintf("%s is the name of %s too", kind.Quote(*field.name), other), "give each field its own name"))
		default:
			first[folded] = field.key
		}
	}
	switch {
	case len(first) > 0:
	case h.Preset == presetCustom && !given("names"):
		found = append(found, fault("names", "is missing", "preset custom knows no names by itself: write at least user, as in names: {user: Remote-User}"))
	default:
		found = append(found, fault("names", "leaves every field out", "name at least one field, or write identity_headers: false"))
	}
	cookies := map[Cookie]bool{}
	for i, c := range h.SignOutCookies {
		key := fmt.Sprintf("sign_out_cookies[%d]", i)
		switch {
		case !given(key): // without a value, which is a fault already
		case !given(key + ".name"):
			found = append(found, fault(key+".name", "is missing", "write the name of the cookie, as in i_like_gitea"))
		case cookies[c]:
			found = append(found, fault(key, fmt.Sprintf("%s is listed twice", kind.Quote(c.Name)), "remove one"))
		case strings.HasPrefix(c.Name, "__Host-") && c.Path != "/":
			found = append(found, fault(key+".path", fmt.Sprintf("is not the path of %s", kind.Quote(c.Name)), "write /: browsers keep cookies whose names begin with __Host- with no other path"))
		}
		cookies[c] = true
	}
	return found
}
