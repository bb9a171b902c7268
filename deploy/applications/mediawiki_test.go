//go:build linux

package applications_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// mediaWiki is Debian's MediaWiki with SQLite and the recipe of this directory: everyone reads, who is signed in
// writes, and the members of staff are administrators.
func mediaWiki(t *testing.T) *application {
	t.Helper()
	requires(t, false, map[string]string{"/usr/share/mediawiki/index.php": "mediawiki php-sqlite3", "/usr/sbin/php-fpm*": "php-fpm", "/usr/sbin/nginx": "nginx", "/usr/bin/php": "php-cli"})
	m := newMachine(t)
	m.mkdir("data", "images", "cache", "installed")
	m.do("php", "/usr/share/mediawiki/maintenance/install.php", "--dbtype", "sqlite", "--dbpath", m.path("data"), "--confpath", m.path("installed"),
		"--server", origin, "--scriptpath", "", "--pass", "a long local password", "--skins", "Vector", "Wiki", "Admin")
	m.copyFiles("mediawiki", "settings")
	m.write("settings/LocalSettings.php", `<?php
require '`+m.path("installed/LocalSettings.php")+`';
$wgShowExceptionDetails = true;
$wgGroupPermissions['*']['edit'] = false;
$wgUploadDirectory = '`+m.path("images")+`';
$wgUploadPath = '/images';
$wgCacheDirectory = '`+m.path("cache")+`';
$wgEnableUploads = true;
$wgFileExtensions[] = 'zip';
$wgVerifyMimeType = false;
$wgMaxUploadSize = 64 << 20;
$wgPersonaGroups = [ 'staff' => 'sysop' ];
require __DIR__ . '/persona.php';
`)
	address := m.servePHP(php{
		workers: 1, // SQLite refuses some writes while another request writes
		root:    "/usr/share/mediawiki", index: "index.php", aliases: map[string]string{"/images": m.path("images")},
		define: map[string]string{"MW_CONFIG_FILE": m.path("settings/LocalSettings.php")},
	})
	return &application{
		machine: m, address: address, page: "/index.php?title=Main_Page",
		access:    "[{path: /mw-config, groups: [staff]}]",
		protected: "/mw-config/index.php",
		public:    []string{"/index.php?title=Main_Page", "/index.php?title=Special:SpecialPages", "/api.php?action=query&meta=siteinfo&format=json", "/load.php?modules=startup&only=scripts&raw=1"},
		login:     "#pt-login a, #pt-login-2 a", logout: "#pt-persona a",
		person:    "(window.mw?.config?.get('wgUserName') ?? '')",
		adminLink: "#ca-protect", adminPage: "/index.php?title=Special:Block", adminSign: "input[name=wpTarget]",
		edit: func(p *person, text string) string {
			p.do(
				chromedp.Navigate(origin+"/index.php?title=Trip&action=edit"),
				idptest.Clear("#wpTextbox1"), idptest.Type("#wpTextbox1", text), idptest.Leave(idptest.Click("#wpSave")),
			)
			p.until(`document.querySelector('#mw-content-text')?.textContent.includes(` + quote(text) + `)`)
			return "/index.php?title=Trip"
		},
		upload: func(p *person, file string) string {
			p.do(chromedp.Navigate(origin + "/index.php?title=Special:Upload"))
			p.do(chromedp.SetUploadFiles(chromedp.CSS("#wpUploadFile"), []string{file}), idptest.Leave(idptest.Click("[name=wpUpload]")))
			p.until(`document.querySelector('.fullMedia a')`)
			return p.evaluate(`new URL(document.querySelector('.fullMedia a').href).pathname`)
		},
		forged: func(text string) (string, map[string]string) {
			return "/index.php?title=Trip&action=submit", map[string]string{"wpTextbox1": text, "wpSave": "Save", "wpEditToken": "+\\", "wpUltimateParam": "1"}
		},
	}
}

func TestBrowserMediaWiki(t *testing.T) { trip(t, mediaWiki(t)) }

// TestMediaWikiFields: whom the recipe takes from the fields of a request, and what it makes of their groups, at the
// first request already.
func TestMediaWikiFields(t *testing.T) {
	app := mediaWiki(t)
	greeted := regexp.MustCompile(`"wgUserName":"(.*?)"`)
	for _, row := range []struct {
		login, name, email, groups string
		greeting                   string // "": anonymous
		admin                      bool
	}{
		{login: "alice", name: "Alice Adams", email: "alice@example.test", groups: "info,staff", greeting: "Alice", admin: true},
		{login: "alice", groups: "info", greeting: "Alice"},
		{login: "Alice", groups: "staff", greeting: "Alice", admin: true},
		{login: "max_m", groups: "sysop,Staff, staff,staff|x", greeting: "Max m"},
		{login: "zoë", name: `<b>O'Neil \ "x"</b> 😀`, email: "o'neil@example.test", greeting: "Zoë"},
		{login: "zoe", greeting: "Zoe"},
		{login: "max m", groups: "staff"},
		{login: "max__m", groups: "staff"},
		{login: "_alice", groups: "staff"},
		{login: "alice_", groups: "staff"},
		{login: "a<b>", groups: "staff"},
		{login: "a/b", groups: "staff"},
		{login: "a#b", groups: "staff"},
		{login: "127.0.0.1", groups: "staff"},
		{login: "MediaWiki default", groups: "staff"},
		{login: strings.Repeat("a", 300), groups: "staff"},
		{login: "", groups: "staff"},
	} {
		page := app.ask(t, app.page, map[string]string{"Remote-User": row.login, "Remote-Name": row.name, "Remote-Email": row.email, "Remote-Groups": row.groups}, "")
		got := ""
		if match := greeted.FindStringSubmatch(page); match != nil {
			got = match[1]
		}
		if got != row.greeting {
			t.Errorf("%q greets %q, want %q", row.login, got, row.greeting)
		}
		if admin := strings.Contains(page, `id="ca-protect"`); admin != row.admin {
			t.Errorf("%q of %q: administrator is %t", row.login, row.groups, admin)
		}
	}
	// The groups are those of the request's own person alone.
	fields := map[string]string{"Remote-User": "alice", "Remote-Groups": "staff"}
	if got := app.ask(t, "/api.php?action=query&list=users&ususers=Zoe|Alice&usprop=groups&format=json", fields, ""); strings.Count(got, `"sysop"`) != 1 {
		t.Errorf("the groups are %s", got)
	}
	for path, want := range map[string]string{
		"/index.php?title=Special:UserLogin&returnto=Trip&returntoquery=action%3Dedit":    "/persona/login?return=%2Findex.php%3Ftitle%3DTrip%26action%3Dedit",
		"/index.php?title=Special:UserLogin":                                              "/persona/login?return=%2Findex.php%3Ftitle%3DMain_Page",
		"/index.php?title=Special:CreateAccount":                                          "/persona/login?return=%2Findex.php%3Ftitle%3DMain_Page",
		"/index.php?title=Special:UserLogout&returnto=//evil.example/":                    "/persona/logout?return=%2Findex.php%3Ftitle%3D%2F%2Fevil.example%2F",
		"/index.php?title=Special:UserLogin&returnto=Trip&returntoquery=%0d%0aX-Evil:%20": "/persona/login?return=%2Findex.php%3Ftitle%3DTrip%26%0D%0AX-Evil%3A%20",
	} {
		if got := strings.TrimPrefix(app.ask(t, path, nil, ""), origin); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
	token := regexp.MustCompile(`"logintoken":"(\w+)`).FindStringSubmatch(app.ask(t, "/api.php?action=query&meta=tokens&type=login&format=json", nil, ""))
	if token == nil {
		t.Fatal("MediaWiki gives no token for signing in")
	}
	login := url.Values{"username": {"Admin"}, "password": {"a long local password"}, "logintoken": {token[1] + `+\`}, "loginreturnurl": {origin}}.Encode()
	if got := app.ask(t, "/api.php?action=clientlogin&format=json", nil, login); strings.Contains(got, "PASS") || !strings.Contains(got, "error") && !strings.Contains(got, "FAIL") {
		t.Errorf("a password of MediaWiki's is answered %s", got)
	}
}
