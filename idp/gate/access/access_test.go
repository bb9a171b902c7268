package access_test

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/idp/gate/access"
)

func compile(t testing.TB, rules ...access.Rule) *access.Table {
	t.Helper()
	table, err := access.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func rules() []access.Rule {
	return []access.Rule{
		{Path: "/wp-admin/ajax.php", Exact: true, Allow: access.Public},
		{Path: "/wp-admin/", Allow: access.Members, Groups: []string{"editors"}},
		{Path: "/git/public", Allow: access.Public},
		{Path: "/git", Allow: access.AuthorizationHeader},
		{Path: "/größe/", Allow: access.SignedIn},
		{Path: "/only", Exact: true, Allow: access.SignedIn},
		{Path: "/my files/", Allow: access.SignedIn},
	}
}

// TestFor: which rules each path has to pass. Rules are named by their path.
func TestFor(t *testing.T) {
	t.Parallel()
	table := compile(t, rules()...)
	closed := compile(t, append(rules(), access.Rule{Path: "/", Allow: access.SignedIn})...)
	for target, want := range map[string]string{
		"/": "", "/index.html": "", "/wp-administrator": "", "/wp-admin-2/": "", "/x/wp-admin/": "", "/groesse/": "",
		"/wp-admin": "/wp-admin/", "/wp-admin/": "/wp-admin/", "/wp-admin/users.php": "/wp-admin/",
		"/WP-Admin/users.php": "/wp-admin/", "/%77p-admin": "/wp-admin/", "/wp%2dadmin/x": "/wp-admin/", "/wp-admin//x": "/wp-admin/",
		"/wp-admin./x": "/wp-admin/", "/wp-admin%20/x": "/wp-admin/", "/wp-admin.": "/wp-admin/", "/wp-admin%23x": "/wp-admin/", "/wp-admin%3fx": "/wp-admin/",
		"/wp-adm\u0131n/": "/wp-admin/", "/%EF%BC%B7p-admin/": "/wp-admin/", "/wp-%E2%80%8Badmin/": "/wp-admin/", "/x%EF%BC%8F%EF%BC%8E%EF%BC%8E%EF%BC%8Fwp-admin": "/wp-admin/",
		"/wp-admin/ajax.php": "", "/wp-admin/Ajax.php": "/wp-admin/", "/wp-admin/ajax.php/": "/wp-admin/", "/wp-admin//ajax.php": "/wp-admin/",
		"/wp-admin/ajax%2ephp": "", "/wp-admin/ajax.php/x": "/wp-admin/", "/wp-admin/ajax.php%23": "/wp-admin/",
		"/git/x": "/git", "/git": "/git", "/GIT/x": "/git", "/git/public/x": "", "/git/Public/x": "/git", "/git//public/x": "/git", "/git/public//x": "",
		"/gr%C3%B6%C3%9Fe/1": "/größe/", "/GR%C3%96%C3%9FE/1": "/größe/", "/gro%CC%88%C3%9Fe": "/größe/", "/größe": "/größe/",
		"/my%20files/1": "/my files/", "/my+files/1": "/my files/", "/my%2Bfiles": "/my files/", "/my-files/": "",
		"/only": "/only", "/only/": "/only", "/Only": "/only", "/only/x": "", "/onlyx": "",
	} {
		if access.Odd(target) {
			t.Errorf("%s is odd", target)
		}
		var got []string
		for _, rule := range table.For(target) {
			if rule.Allow != access.Public {
				got = append(got, rule.Path)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has to pass %v, want %s", target, got, want)
		}
		if want == "" && closed.For(target).Public() && !strings.HasPrefix(target, "/wp-admin/ajax") && !strings.HasPrefix(target, "/git/public") {
			t.Errorf("%s passes a rule for everything", target)
		}
	}
}

// TestDemand: who passes where websites that differ read a path by two rules.
func TestDemand(t *testing.T) {
	t.Parallel()
	table := compile(t,
		access.Rule{Path: "/git", Allow: access.AuthorizationHeader},
		access.Rule{Path: "/team", Allow: access.Members, Groups: []string{"Editors", "staff"}},
		access.Rule{Path: "/", Allow: access.Members, Groups: []string{"admins"}},
	)
	for _, test := range []struct {
		path          string
		groups        string
		authorization bool
		lacking       string
	}{
		{"/git/x", "", true, ""},
		{"/GIT/x", "", false, "/"},
		{"/git./x", "admins", false, ""},
		{"/team", "EDITORS", false, ""},
		{"/team", "staff other", false, ""},
		{"/team", "editor", false, "/team"},
		{"/Team", "editors", false, "/"},
		{"/Team", "admins", false, "/team"},
		{"/Team", "admins staff", false, ""},
		{"/other", "", false, "/"},
	} {
		demand := table.For(test.path)
		lacking := ""
		if rule := demand.Lacking(strings.Fields(test.groups)); rule != nil {
			lacking = rule.Path
		}
		if demand.Public() || demand.Authorization() != test.authorization || lacking != test.lacking {
			t.Errorf("%s with groups %q: public %v, by Authorization %v, lacking %q", test.path, test.groups, demand.Public(), demand.Authorization(), lacking)
		}
	}
	if open := compile(t, access.Rule{Path: "/", Allow: access.Public}); open.Protects() || !open.For("/x").Public() || !compile(t).For("/x").Public() {
		t.Error("rules that open everything protect something")
	}
}

func TestOdd(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"", "*", "x", "//", "//x", "//x/y", "/%2f", "/x%2Fy", "/%2fx", `/x\y`, "/x%5cy", "/x%5Cy", `\x`,
		"/x;y", "/;", "/x%3by", "/x;jsessionid=1/y", "/..;/x", "/.;/x",
		"/.", "/..", "/./x", "/x/..", "/x/../y", "/%2e", "/%2e%2E/x", "/.%2e/x", "/x/%2e./y", "/...", "/x/.../y", "/.%20/x", "/%20../x", "/..%20",
		"/%", "/%2", "/%zz", "/x%u002fy", "/%252e%252e/x", "/x%252fy", "/x%25%32%66y", "/x%25252fy", "/x%2500", "/%25u002f", "/a%25c0%25af",
		"/x%00", "/x%00.png", "/%0a", "/x%0dy", "/x%09", "/%7f", "/x\x00", "/x\ty", "/x\x7f",
		"/%c0%ae%c0%ae/x", "/x%c0%afy", "/%e0%80%af", "/%f0%80%80%af", "/%ff", "/%ed%a0%80", "/x\xc0\xaf", "/%E4", "/%c3",
		"/x#y", "/#", "/x::$DATA", "/x:$i30:$INDEX_ALLOCATION", "/x%3a%3a$DATA", "/x::%24DATA",
		"/" + strings.Repeat("%EF%B7%BA", 683), "/" + strings.Repeat("ﷺ", 20000), "/" + strings.Repeat("%20x", 5000), "/" + strings.Repeat("//x", 3000),
	} {
		if !access.Odd(target) {
			t.Errorf("%q is not odd", target)
		}
	}
	for _, target := range []string{
		"/", "/x", "/x/", "/x//y", "/x///", "/.well-known/x", "/..x", "/x..", "/x.", "/a..b/c", "/x%20y", "/x+y", "/~user", "/x:y", "/Special:Upload",
		"/100%25", "/100%25%20x", "/50%25off", "/C%23", "/What%3F", "/gr%C3%B6%C3%9Fe", "/größe", "/%E6%97%A5%E6%9C%AC", "/%F0%9F%98%80", "/a,b&c=d$e!f*g'(h)@i", "/x%2ey",
		"/" + strings.Repeat("%EF%B7%BA", 682), "/" + strings.Repeat("%20x", 4000), "/" + strings.Repeat("x/", 30000),
	} {
		if access.Odd(target) {
			t.Errorf("%q is odd", target)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	in := func(path string) access.Rule { return access.Rule{Path: path, Allow: access.SignedIn} }
	for want, faulty := range map[string]access.Rules{
		`rule 1: path: "" does not begin`:                               {in("")},
		`rule 1: path: "x" does not begin`:                              {in("x")},
		`rule 1: path: "https://a.test/" does not begin`:                {in("https://a.test/")},
		`rule 1: path: "/x?a=b" has a query`:                            {in("/x?a=b")},
		`rule 1: path: "/x#y" has a query`:                              {in("/x#y")},
		`rule 2: path: "/x/*" has a "*"`:                                {in("/y"), in("/x/*")},
		`rule 1: path: "/a%20b" has a "%"`:                              {in("/a%20b")},
		`rule 1: path: "/a//b" is one that servers read`:                {in("/a//b")},
		`rule 1: path: "/a/../b" is one that servers read`:              {in("/a/../b")},
		`rule 1: path: "/a./b" is one that servers read`:                {in("/a./b")},
		`rule 1: path: "/a;b" is one that servers read`:                 {in("/a;b")},
		"rule 1: path: \"/\\xff\" is one that servers read":             {in("/\xff")},
		`rule 1: path: "/persona/" is not the website's`:                {in("/persona/")},
		`rule 1: allow: "" is unknown`:                                  {{Path: "/"}},
		`rule 1: allow: "admins" is unknown`:                            {{Path: "/", Allow: "admins"}},
		`rule 1: groups: there is none`:                                 {{Path: "/", Allow: access.Members}},
		`rule 1: groups: there is none, or one without a name`:          {{Path: "/", Allow: access.Members, Groups: []string{"a", " "}}},
		`rule 1: groups: are given beside allow: public`:                {{Path: "/", Allow: access.Public, Groups: []string{"a"}}},
		`rule 2: path: /wp-admin/ is never reached: rule 1 covers it`:   {in("/"), in("/wp-admin/")},
		`rule 2: path: /wp-admin is never reached: rule 1 covers it`:    {in("/wp-admin/"), in("/wp-admin")},
		`rule 2: path: /a is never reached: rule 1 covers it`:           {{Path: "/a", Exact: true, Allow: access.Public}, {Path: "/a", Exact: true, Allow: access.SignedIn}},
		`rule 3: path: /a/b/c is never reached: rule 2 covers it`:       {{Path: "/a/b", Exact: true, Allow: access.Public}, in("/a/b"), in("/a/b/c")},
		"rule 2: path: \"y\" does not begin with \"/\"\naccess rule 3:": {in("/x"), in("y"), {Path: "/z"}},
	} {
		err := faulty.Validate()
		var fault *access.Fault
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &fault) || fault.Hint() == "" {
			t.Errorf("%v: got %v, want %s", faulty, err, want)
		}
		if _, err := access.Compile(faulty); err == nil {
			t.Errorf("%v can be compiled", faulty)
		}
	}
	good := access.Rules{{Path: "/a", Exact: true, Allow: access.Public}, in("/a"), in("/.well-known/x"), in("/Spezial:Größe, 100+"), in("/personal"), in("/")}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzFor: no spelling of a path gets round the rule that a website would have applied to
// what it takes the path for.
func FuzzFor(f *testing.F) {
	open := compile(f, append(rules(), access.Rule{Path: "/", Allow: access.Public})...)
	closed := compile(f, append(rules(), access.Rule{Path: "/", Allow: access.Members, Groups: []string{"admins"}})...)
	websites := websites()
	judge := func(t *testing.T, target string) {
		if access.Odd(target) {
			return
		}
		for name, read := range websites {
			taken := read(target)
			for table, fallback := range map[*access.Table]access.Allow{open: access.Public, closed: access.Members} {
				want := access.Rule{Path: "/", Allow: fallback}
				for _, rule := range rules() {
					base := strings.TrimSuffix(rule.Path, "/")
					if rest, ok := strings.CutPrefix(taken, base); ok && (rest == "" || rest[0] == '/' && !rule.Exact) {
						want = rule
						break
					}
				}
				passes := func(rule *access.Rule) bool { return rule.Path == want.Path && rule.Allow == want.Allow }
				if want.Allow != access.Public && !slices.ContainsFunc(table.For(target), passes) {
					t.Errorf("%q is %q to a website (%s), whose rule %s does not count", target, taken, name, want.Path)
				}
			}
		}
	}
	junk := []string{
		"/", "//", "/./", "/../", "/x/../", "/..;/", `\`, ";", ";x", "%00", "%20", "%09", "%0a", ".", "..", "#", "%23", "%23x", "%3f", "%3fx", "%3b", "%2f", "%5c", "%252f", "%2e", "%2e%2e/",
		"::$DATA", "%ef%bc%8f", "%ef%bc%8e", "%e2%80%8b", "%c0%af", "%c0%ae", "+", "\u212a", "\u017f", "\u0131", "\u0130",
	}
	for _, start := range []string{"/wp-admin/users.php", "/wp-admin", "/WP-ADMIN/", "/wp-admin/ajax.php", "/git/public/x", "/git/x", "/gr%C3%B6%C3%9Fe/", "/only", "/x", "/"} {
		f.Add(start)
		for i := range len(start) + 1 {
			for _, insert := range junk {
				f.Add(start[:i] + insert + start[i:])
			}
			if i < len(start) {
				c := start[i : i+1]
				for _, instead := range []string{hex(c), "%25" + hex(c)[1:], "%25%3" + hex(c)[1:2] + "%3" + hex(c)[2:], "%u00" + hex(c)[1:], strings.ToUpper(c)} {
					f.Add(start[:i] + instead + start[i+1:])
				}
			}
		}
	}
	f.Fuzz(judge)
}

func hex(c string) string {
	const digits = "0123456789abcdef"
	return "%" + digits[c[0]>>4:c[0]>>4+1] + digits[c[0]&15:c[0]&15+1]
}

// websites are the ways in which websites read a path, as far as they are known.
func websites() map[string]func(string) string {
	same := func(p string) string { return p }
	cut := func(marks string) func(string) string {
		return func(p string) string {
			if i := strings.IndexAny(p, marks); i >= 0 {
				return p[:i]
			}
			return p
		}
	}
	parameters := func(p string) string { // of each segment, as Java has them
		segments := strings.Split(p, "/")
		for i := range segments {
			segments[i] = cut(";")(segments[i])
		}
		return strings.Join(segments, "/")
	}
	windows := func(p string) string {
		segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
		for i := range segments {
			segments[i] = strings.TrimRight(strings.TrimSuffix(segments[i], "::$DATA"), " .")
		}
		return strings.Join(segments, "/")
	}
	clean := func(p string) string { return path.Clean("/" + p) }
	merged := func(p string) string {
		for strings.Contains(p, "//") {
			p = strings.ReplaceAll(p, "//", "/")
		}
		return p
	}
	type step struct {
		name string
		do   func(string) string
	}
	decoding := []step{{"decoded", lenient}, {"decoded twice", func(p string) string { return lenient(lenient(p)) }}}
	cutting := []step{{"", same}, {"parameters", parameters}, {"to ;", cut(";")}, {"to NUL", cut("\x00")}, {"to #", cut("#")}, {"to ?", cut("?")}, {"as Windows", windows}}
	cleaning := []step{{"", same}, {"cleaned", clean}, {"merged", merged}}
	folding := []step{{"", same}, {"lower case", strings.ToLower}, {"upper and lower case", func(p string) string { return strings.ToLower(strings.ToUpper(p)) }}}
	all := map[string]func(string) string{}
	for _, a := range decoding {
		for _, b := range cutting {
			for _, c := range cleaning {
				for _, d := range folding {
					all[strings.Join([]string{a.name, b.name, c.name, d.name}, ", ")] = func(p string) string { return d.do(c.do(b.do(a.do(p)))) }
				}
			}
		}
	}
	return all
}

// lenient decodes what can be decoded, "+" and overlong characters too.
func lenient(p string) string {
	var to strings.Builder
	value := func(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) && value(p[i+1]) >= 0 && value(p[i+2]) >= 0 {
			to.WriteByte(byte(value(p[i+1])<<4 | value(p[i+2])))
			i += 2
			continue
		}
		to.WriteByte(p[i])
	}
	return strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/").Replace(to.String())
}

func BenchmarkFor(b *testing.B) {
	table := compile(b, append(rules(), access.Rule{Path: "/", Allow: access.SignedIn})...)
	for b.Loop() {
		if access.Odd("/wiki/Main_Page") || table.For("/wiki/Main_Page").Public() {
			b.Fatal("not protected")
		}
	}
}
