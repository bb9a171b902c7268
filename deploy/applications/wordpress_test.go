//go:build linux

package applications_test

import (
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// wordPress is Debian's WordPress with MariaDB and the recipe of this directory: the members of staff are
// administrators, others subscribers.
func wordPress(t *testing.T) *application {
	t.Helper()
	requires(t, false, map[string]string{
		"/usr/share/wordpress/wp-load.php": "wordpress wordpress-theme-twentytwentyone", "/usr/share/wordpress/wp-content/themes/twentytwentyone": "wordpress-theme-twentytwentyone",
		"/usr/sbin/mariadbd": "mariadb-server-core", "/usr/sbin/php-fpm*": "php-fpm", "/usr/sbin/nginx": "nginx", "/usr/bin/php": "php-cli",
	})
	m := newMachine(t)
	m.mkdir("database", "site/wp-content/uploads")
	m.do("mariadb-install-db", "--no-defaults", "--datadir="+m.path("database"), "--skip-test-db")
	m.serve("unix", m.path("mariadb.sock"), "/usr/sbin/mariadbd", "--no-defaults", "--datadir="+m.path("database"), "--socket="+m.path("mariadb.sock"),
		"--pid-file="+m.path("mariadb.pid"), "--skip-networking", "--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0")

	m.link("site", "/usr/share/wordpress/*")
	m.link("site/wp-content", "/usr/share/wordpress/wp-content/*")
	m.copyFiles("wordpress", "site/wp-content/mu-plugins")
	m.write("settings.php", `<?php
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = 443; }
define('PERSONA_ROLES', ['staff' => 'administrator', 'team' => 'editor']);
define('DB_NAME', 'wordpress'); define('DB_USER', 'root'); define('DB_PASSWORD', ''); define('DB_HOST', 'localhost:`+m.path("mariadb.sock")+`');
define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $key) define($key, 'a secret ' . $key);
define('WP_CONTENT_DIR', ABSPATH . 'wp-content'); define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true);
define('ALLOW_UNFILTERED_UPLOADS', true);
$table_prefix = 'wp_';
require_once ABSPATH . 'wp-settings.php';
`)
	// Debian's wp-config.php looks for the settings in /etc alone.
	m.replace("site/wp-config.php", "settings.php")
	m.write("install.php", `<?php
define('ABSPATH', '`+m.path("site")+`/'); define('WP_INSTALLING', true); define('WP_SITEURL', '`+origin+`');
$_SERVER += ['HTTP_HOST' => 'example.test', 'HTTPS' => 'on', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
(new mysqli('localhost', 'root', '', '', 0, '`+m.path("mariadb.sock")+`'))->query('CREATE DATABASE wordpress');
require ABSPATH . 'wp-load.php'; require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Site', 'local-admin', 'admin@example.net', true, '', 'a long local password');
update_option('home', '`+origin+`'); update_option('siteurl', '`+origin+`'); switch_theme('twentytwentyone');
$wpdb->insert($wpdb->users, ['user_login' => 'zoé', 'user_email' => 'zoe@example.net']); // the database takes it for zoe
wp_insert_post(['post_type' => 'page', 'post_title' => 'Welcome', 'post_content' => '<!-- wp:loginout /-->', 'post_status' => 'publish', 'import_id' => 1000]);
`)
	m.do("php", m.path("install.php"))
	address := m.servePHP(php{
		workers: 4,
		root:    m.path("site"), index: "index.php", rewrite: "/index.php?$args", define: map[string]string{"ABSPATH": m.path("site") + "/"},
	})
	return &application{
		machine: m, address: address, page: "/?page_id=1000",
		access:    "[{path: /wp-admin/admin-ajax.php, exact: true, allow: public}, {path: /wp-admin/, groups: [staff]}]",
		protected: "/wp-admin/profile.php",
		public:    []string{"/?page_id=1000", "/", "/?feed=rss2", "/?rest_route=/wp/v2/posts", "/wp-includes/css/dashicons.min.css"},
		login:     "div.wp-block-loginout a", logout: "div.wp-block-loginout a",
		person:    `(document.querySelector('#wp-admin-bar-my-account .display-name')?.textContent ?? '')`,
		adminLink: "#wp-admin-bar-new-content", adminPage: "/wp-admin/plugins.php", adminSign: "#the-list",
		edit: func(p *person, text string) string {
			p.do(chromedp.Navigate(origin + "/wp-admin/post-new.php"))
			p.until(`window.wp?.data?.select('core/editor')?.getCurrentPostId()`)
			p.do(idptest.Script(`(async () => {
				const editor = wp.data.dispatch('core/editor');
				await editor.editPost({title: 'Trip', content: ` + quote(text) + `, status: 'publish'});
				await editor.savePost();
				window.saved = wp.data.select('core/editor').getPermalink();
			})()`))
			p.until(`window.saved && wp.data.select('core/editor').isCurrentPostPublished()`)
			return p.evaluate(`(() => { const saved = new URL(window.saved); return saved.pathname + saved.search; })()`)
		},
		upload: func(p *person, file string) string {
			p.do(chromedp.Navigate(origin + "/wp-admin/media-new.php?browser-uploader"))
			p.do(chromedp.SetUploadFiles(chromedp.CSS("#async-upload"), []string{file}), idptest.Leave(idptest.Click("#html-upload")))
			p.until(`location.pathname === '/wp-admin/upload.php'`)
			p.do(chromedp.Navigate(origin + "/wp-admin/upload.php?mode=list"))
			p.until(`document.querySelector('.copy-attachment-url, .row-actions .copy button')`)
			return p.evaluate(`new URL(document.querySelector('[data-clipboard-text]').dataset.clipboardText).pathname`)
		},
		forged: func(text string) (string, map[string]string) {
			return "/?rest_route=/wp/v2/posts/1", map[string]string{"content": text, "title": text}
		},
	}
}

func TestBrowserWordPress(t *testing.T) { trip(t, wordPress(t)) }

// TestWordPressFields: whom the recipe takes from the fields of a request, and what it makes of their groups, at the
// first request already.
func TestWordPressFields(t *testing.T) {
	app := wordPress(t)
	greeted := regexp.MustCompile(`<span class="display-name">(.*?)</span>`)
	for _, row := range []struct {
		login, name, email, groups string
		greeting                   string // "": anonymous
		role                       string
	}{
		{login: "alice", name: "Alice Adams", email: "alice@example.test", groups: "info,staff", greeting: "Alice Adams", role: "administrator"},
		{login: "alice", name: "Alice Adams", email: "alice@example.test", groups: "info", greeting: "Alice Adams", role: "subscriber"},
		{login: "Alice", groups: "team,staff", greeting: "Alice Adams", role: "administrator"},
		{login: "edith", groups: "team", greeting: "edith", role: "editor"},
		{login: "juergen", name: "Jürgen Müller", email: "alice@example.test", groups: "Staff, staff,staff|team", greeting: "Jürgen Müller", role: "subscriber"},
		{login: "hostile", name: `<b>O'Neil \ "x"</b> 😀`, email: "o'neil@example.test", groups: "'staff',st\\aff", greeting: `O'Neil \ "x" 😀`, role: "subscriber"},
		{login: "zoë", groups: "staff"},
		{login: "zoe", groups: "staff"},
		{login: "a<b>", groups: "staff"},
		{login: "alice'", groups: "staff"},
		{login: `al\ice`, groups: "staff"},
		{login: strings.Repeat("a", 61), groups: "staff"},
		{login: "", groups: "staff"},
	} {
		fields := map[string]string{"Remote-User": row.login, "Remote-Name": row.name, "Remote-Email": row.email, "Remote-Groups": row.groups}
		page := app.ask(t, app.page, fields, "")
		got := ""
		if match := greeted.FindStringSubmatch(page); match != nil {
			got = match[1]
		}
		if got != row.greeting {
			t.Errorf("%q greets %q, want %q", row.login, got, row.greeting)
		}
		role := ""
		switch {
		case strings.Contains(page, `wp-admin-bar-customize`):
			role = "administrator"
		case strings.Contains(page, `wp-admin-bar-new-content`):
			role = "editor"
		case got != "":
			role = "subscriber"
		}
		if role != row.role {
			t.Errorf("%q of %q is %q, want %q", row.login, row.groups, role, row.role)
		}
	}
	editor := map[string]string{"Remote-User": "alice", "Remote-Groups": "staff"}
	// WordPress's own token is asked for.
	if got := app.ask(t, "/?rest_route=/wp/v2/posts", editor, "title=x&status=publish"); !strings.Contains(got, "rest_cannot_create") {
		t.Errorf("without a token the REST interface answers %s", got)
	}
	for path, want := range map[string]string{
		"/wp-login.php": "/persona/login?return=%2Fwp-admin%2F",
		"/wp-admin/":    "/persona/login?return=%2Fwp-admin%2F",
		"/wp-login.php?redirect_to=https://example.test/wp-admin/edit.php?a=b%26c": "/persona/login?return=%2Fwp-admin%2Fedit.php%3Fa%3Db%26c",
		"/wp-login.php?redirect_to=https://evil.example/x":                         "/persona/login?return=%2Fx",
		"/wp-login.php?redirect_to=//evil.example//evil.example/":                  "/persona/login?return=%2F%2Fevil.example%2F", // persona refuses it
		"/wp-login.php?redirect_to=/%0d%0aX-Evil:%20x":                             "/persona/login?return=%2FX-Evil%3A%20x",
	} {
		if got := app.ask(t, path, nil, ""); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
	password := "<methodCall><methodName>wp.getUsersBlogs</methodName><params><param><value>local-admin</value></param><param><value>a long local password</value></param></params></methodCall>"
	if got := app.ask(t, "/xmlrpc.php", nil, password); !strings.Contains(got, "<fault>") {
		t.Errorf("a password of WordPress's is answered %s", got)
	}
}
