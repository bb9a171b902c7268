//go:build linux

package applications_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// dokuWiki is Debian's DokuWiki with the plug-in of this directory: everyone reads, who is signed in writes, and
// the members of staff are superusers.
func dokuWiki(t *testing.T) *application {
	t.Helper()
	requires(t, true, map[string]string{"/usr/share/dokuwiki/doku.php": "dokuwiki", "/usr/sbin/php-fpm*": "php-fpm", "/usr/sbin/nginx": "nginx"})
	m := newMachine(t)
	m.link("plugins", "/var/lib/dokuwiki/lib/plugins/*")
	m.copyFiles("dokuwiki/authpersona", "plugins/authpersona")
	m.mkdir("data/attic", "data/cache", "data/index", "data/locks", "data/log", "data/media", "data/media_attic", "data/media_meta", "data/meta", "data/pages", "data/tmp")
	m.write("data/pages/start.txt", "====== Welcome ======\n")
	m.write("conf/local.php", `<?php
$conf['title'] = 'Wiki';
$conf['savedir'] = '`+m.path("data")+`';
$conf['useacl'] = 1; $conf['authtype'] = 'authpersona'; $conf['superuser'] = '@staff';
`)
	m.write("conf/acl.auth.php", "# <?php exit()?>\n*\t@ALL\t1\n*\t@user\t8\nsecret:*\t@ALL\t0\nsecret:*\t@user\t1\n")
	m.write("conf/users.auth.php", "# <?php exit()?>\n")
	address := m.servePHP(php{
		workers: 4,
		root:    "/usr/share/dokuwiki", index: "doku.php",
		define: map[string]string{"DOKU_CONF": m.path("conf") + "/", "DOKU_PLUGIN": m.path("plugins") + "/"},
	})
	return &application{
		machine: m, address: address, page: "/doku.php?id=start",
		access:    "[{path: /lib/exe/detail.php, groups: [staff]}]",
		protected: "/lib/exe/detail.php?id=start&media=x.png",
		public:    []string{"/", "/doku.php?id=start", "/doku.php?id=start&do=index", "/lib/exe/css.php?t=dokuwiki", "/lib/exe/js.php?t=dokuwiki", "/feed.php"},
		login:     "#dokuwiki__usertools li.login a", logout: "#dokuwiki__usertools li.logout a",
		person:    "document.querySelector('#dokuwiki__usertools li.user bdi')?.textContent ?? ''",
		adminLink: "#dokuwiki__usertools li.admin a", adminPage: "/doku.php?id=start&do=admin&page=config", adminSign: "#config__manager",
		edit: func(p *person, text string) string {
			p.do(
				chromedp.Navigate(origin+"/doku.php?id=trip&do=edit"),
				idptest.Clear("#wiki__text"), idptest.Type("#wiki__text", text), idptest.Leave(idptest.Click("#edbtn__save")),
			)
			p.until(`document.querySelector('#dokuwiki__content .page')?.textContent.includes(` + quote(text) + `)`)
			return "/doku.php?id=trip"
		},
		upload: func(p *person, file string) string {
			p.do(chromedp.Navigate(origin + "/lib/exe/mediamanager.php?ns="))
			p.do(chromedp.SetUploadFiles(chromedp.CSS(".qq-upload-button input"), []string{file}), idptest.Click("#mediamanager__upload_button"))
			p.until(`document.querySelector('.qq-upload-success')`)
			return "/lib/exe/fetch.php?media=" + filepath.Base(file)
		},
		forged: func(text string) (string, map[string]string) {
			return "/doku.php?id=trip", map[string]string{"do[save]": "1", "wikitext": text, "summary": "", "prefix": "", "suffix": "", "date": "", "sectok": ""}
		},
	}
}

func TestBrowserDokuWiki(t *testing.T) { trip(t, dokuWiki(t)) }

// TestDokuWikiFields: whom the plug-in takes from the fields of a request, and what it keeps of them.
func TestDokuWikiFields(t *testing.T) {
	app := dokuWiki(t)
	greeted := regexp.MustCompile(`<li class="user">.*<bdi>(.*)</bdi> \(<bdi>(.*)</bdi>\)`)
	users := func() string {
		text, err := os.ReadFile(app.path("conf/users.auth.php"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, row := range []struct {
		login, name, email, groups string
		greeting                   string // "": anonymous
		admin                      bool
	}{
		{login: "alice", name: "Alice Adams", email: "alice@example.test", groups: "staff,wiki editors", greeting: "Alice Adams alice", admin: true},
		{login: "alice", name: "Alice Adams", email: "alice@example.test", groups: "wiki editors", greeting: "Alice Adams alice"},
		{login: "alice", name: "Alice Brown", email: "alice@example.test", groups: "STAFF", greeting: "Alice Brown alice", admin: true},
		{login: "Alice", name: "Alice Brown", greeting: "Alice Brown alice"},
		{login: "juergen", name: "Jürgen Müller", greeting: "Jürgen Müller juergen"},
		{login: "no.name", greeting: "no.name no.name"},
		{login: "noxname", greeting: "noxname noxname"},
		{login: "hostile", name: `%41+"<b>#1:\ 😀`, email: "a#b:c@example.test", groups: "a#b,c:d,\\,<b>,not staff,-staff-x", greeting: `%41+&quot;&lt;b&gt;#1:\ 😀 hostile`},
		{login: "", groups: "staff"},
		{login: "zoë", name: "Zoë", groups: "staff"},
		{login: "a b", groups: "staff"},
		{login: "a:b", groups: "staff"},
		{login: "a@b", groups: "staff"},
		{login: "_alice", groups: "staff"},
		{login: "alice/", groups: "staff"},
		{login: `st*r(x)\y`, groups: "staff"},
		{login: "../alice", groups: "staff"},
	} {
		fields := map[string]string{"Remote-User": row.login, "Remote-Name": row.name, "Remote-Email": row.email, "Remote-Groups": row.groups}
		page := app.ask(t, app.page, fields, "")
		got := ""
		if match := greeted.FindStringSubmatch(page); match != nil {
			got = match[1] + " " + match[2]
		}
		if got != row.greeting {
			t.Errorf("%q greets %q, want %q", row.login, got, row.greeting)
		}
		if admin := strings.Contains(page, `class="action admin"`); admin != row.admin {
			t.Errorf("%q of %q: administrator is %t", row.login, row.groups, admin)
		}
		kept := users()
		if app.ask(t, app.page, fields, ""); users() != kept {
			t.Errorf("%q is written at each request:\n%s\n%s", row.login, kept, users())
		}
	}
	for _, login := range []string{"alice", "juergen", `no\.name`, "noxname", "hostile"} {
		if lines := regexp.MustCompile(`(?m)^`+login+`:`).FindAllString(users(), -1); len(lines) != 1 {
			t.Errorf("%s has %d lines:\n%s", login, len(lines), users())
		}
	}
	if lines := strings.Count(users(), "\n"); lines != 6 {
		t.Errorf("there are %d lines:\n%s", lines, users())
	}
	if page := app.ask(t, "/doku.php?id=secret:plan", map[string]string{"Remote-User": "alice"}, ""); strings.Contains(page, "Permission Denied") {
		t.Error("alice may not read what @user may read")
	}
	for path, want := range map[string]string{
		"/doku.php?id=start&do=login&u=alice&p=x":        "/persona/login?return=%2Fdoku.php%3Fid%3Dstart",
		"/doku.php?id=secret:plan":                       "/persona/login?return=%2Fdoku.php%3Fid%3Dsecret%253Aplan",
		"/doku.php?id=secret:plan&rev=1&do=diff":         "/persona/login?return=%2Fdoku.php%3Fid%3Dsecret%253Aplan",
		"/doku.php?id=//evil.example/%0d%0a:x&do=login":  "/persona/login?return=%2Fdoku.php%3Fid%3Devil.example%253Ax",
		"/doku.php?id=start&do=login&return=//evil.test": "/persona/login?return=%2Fdoku.php%3Fid%3Dstart",
	} {
		if got := app.ask(t, path, nil, ""); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
	// What was written is not lost by a redirect.
	if page := app.ask(t, "/doku.php?id=secret:plan", nil, "do[save]=1&wikitext=x"); !strings.Contains(page, "Permission Denied") {
		t.Errorf("a stranger who saves gets %s", page)
	}
}
