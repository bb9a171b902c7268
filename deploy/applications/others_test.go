//go:build linux

package applications_test

import (
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/deploy/relying-party/relyingpartytest"

	"github.com/chromedp/chromedp"
)

// fetched returns what a page gets for a request of its own: the status and the beginning of the body.
func (p *person) fetched(call string) string {
	p.t.Helper()
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](
		`(async () => { const a = await `+call+`; return a.status + " " + (await a.text()).slice(0, 2000); })()`, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", call, err)
	}
	return got
}

// TestBrowserRadicale: a person who is signed in has calendars of their own, and no others.
func TestBrowserRadicale(t *testing.T) {
	requires(t, false, map[string]string{"/usr/bin/radicale": "radicale"})
	m := newMachine(t)
	app := &application{
		machine: m, address: relyingpartytest.FreeAddress(t), headers: "{preset: x-remote-user}", access: "[{path: /, allow: signed_in}]", page: "/.web/",
	}
	m.mkdir("collections")
	m.write("config", "[server]\nhosts = "+app.address+"\n[auth]\ntype = http_x_remote_user\n[rights]\ntype = owner_only\n[storage]\nfilesystem_folder = "+m.path("collections")+"\n")
	m.serve("tcp", app.address, "/usr/bin/radicale", "--config", m.path("config"))
	w := newWorld(t, app, layouts()[1])

	alice := w.person(t)
	alice.do(chromedp.Navigate(origin + app.page))
	alice.enter("alice")
	alice.until(`location.href === ` + quote(origin+app.page))
	for call, want := range map[string]string{
		`fetch("/alice/tasks/", {method: "MKCALENDAR"})`:              "201",
		`fetch("/alice/", {method: "PROPFIND", headers: {Depth: 0}})`: "207",
		`fetch("/bob/", {method: "PROPFIND", headers: {Depth: 0}})`:   "403",
		`fetch("/bob/tasks/", {method: "MKCALENDAR"})`:                "403",
	} {
		if got := alice.fetched(call); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	if got := w.get(t, "/alice/", map[string]string{"X-Remote-User": "alice", "x_remote_user": "alice"}); strings.Contains(got, "multistatus") || strings.Contains(got, "Radicale works") {
		t.Errorf("a stranger gets %s", got)
	}
	alice.do(chromedp.Navigate(origin + "/persona/logout?return=/.web/"))
	alice.signOut()
	alice.until(`location.href === ` + quote(origin+app.page)) // from the browser's cache
	if got := alice.fetched(`fetch("/alice/", {method: "PROPFIND", headers: {Depth: 0}})`); !strings.HasPrefix(got, "401") {
		t.Errorf("after the sign-out: %s", got)
	}
}

// TestBrowserJupyter: members of a group have a notebook whose kernel ends its connection when they sign out; others
// are told which group it is.
func TestBrowserJupyter(t *testing.T) {
	requires(t, false, map[string]string{"/usr/bin/jupyter-notebook": "jupyter-notebook"})
	m := newMachine(t)
	app := &application{machine: m, address: relyingpartytest.FreeAddress(t), access: "[{path: /, groups: [staff]}]", page: "/tree"}
	m.write("jupyter_notebook_config.py", shown(t, "jupyter.md", "python"))
	m.mkdir("home", "notebooks")
	_, port, _ := strings.Cut(app.address, ":")
	m.serve("tcp", app.address, "/usr/bin/env", "HOME="+m.path("home"), "jupyter-notebook", "--no-browser", "--ip=127.0.0.1", "--port="+port,
		"--port-retries=0", "--config="+m.path("jupyter_notebook_config.py"), "--notebook-dir="+m.path("notebooks"))
	w := newWorld(t, app, layouts()[1])

	alice := w.person(t)
	alice.do(chromedp.Navigate(origin + app.page))
	alice.enter("alice")
	alice.until(`location.href === ` + quote(origin+app.page) + ` && document.querySelector("#notebook_list")`)
	kernel := alice.fetched(`fetch("/api/kernels", {method: "POST", headers: {"X-XSRFToken": document.cookie.match(/_xsrf=([^;]*)/)?.[1]}})`)
	if !strings.HasPrefix(kernel, "201") {
		t.Fatalf("a kernel is answered %s", kernel)
	}
	_, id, _ := strings.Cut(kernel, `"id": "`)
	id, _, _ = strings.Cut(id, `"`)
	alice.evaluate(`(window.channel = new WebSocket("wss://example.test/api/kernels/` + id + `/channels"), "")`)
	alice.until(`window.channel.readyState === WebSocket.OPEN`)
	tab, cancel := chromedp.NewContext(alice.ctx)
	defer cancel()
	if err := chromedp.Do(tab); err != nil { // opens it; with the context of a step it would be closed after that
		t.Fatal(err)
	}
	other := &person{t, tab}
	other.do(chromedp.Navigate(origin + "/persona/logout"))
	other.signOut()
	alice.until(`window.channel.readyState === WebSocket.CLOSED`)

	bob := w.person(t)
	bob.do(chromedp.Navigate(origin + app.page))
	bob.enter("bob")
	bob.until(`document.body?.innerText.includes("staff")`)
}

// TestModDAV: Apache moves files, checks Basic, and browsers sign in.
func TestModDAV(t *testing.T) {
	requires(t, false, map[string]string{"/usr/sbin/apache2": "apache2-bin"})
	m := newMachine(t)
	app := &application{machine: m, address: relyingpartytest.FreeAddress(t), access: "[{path: /dav/, allow: authorization_header}]", page: "/dav/"}
	m.mkdir("root/dav", "locks")
	m.write("passwords", "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n") // secret
	modules := ""
	for _, name := range strings.Fields("mpm_event authn_core authn_file authz_core authz_user auth_basic dav dav_fs headers") {
		modules += "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
	}
	m.write("apache.conf", modules+`
ServerName example.test
ServerRoot `+m.folder+`
PidFile apache.pid
ErrorLog /proc/self/fd/2
Listen `+app.address+`
DocumentRoot `+m.path("root")+`
DavLockDB `+m.path("locks/db")+`
`+shown(t, "mod-dav.md", "apache")+`
<Location "/dav/">
Dav On
AuthType Basic
AuthName files
AuthUserFile `+m.path("passwords")+`
Require valid-user
</Location>
`)
	m.serve("tcp", app.address, "/usr/sbin/apache2", "-X", "-f", m.path("apache.conf"))
	w := newWorld(t, app, layouts()[1])
	for _, row := range []struct {
		method, path, password, destination string
		want                                int
	}{
		{http.MethodPut, "/dav/größe%20a+b.bin", "secret", "", http.StatusCreated},
		{"MOVE", "/dav/größe%20a+b.bin", "secret", origin + "/dav/x.bin", http.StatusCreated},
		{"COPY", "/dav/x.bin", "secret", origin + "/dav/y.bin", http.StatusCreated},
		{http.MethodGet, "/dav/y.bin", "secret", "", http.StatusOK},
		{http.MethodGet, "/dav/y.bin", "guess", "", http.StatusUnauthorized},
		{http.MethodDelete, "/dav/y.bin", "", "", http.StatusUnauthorized}, // of persona, to a program
	} {
		request, err := http.NewRequestWithContext(t.Context(), row.method, origin+row.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		if row.password != "" {
			request.SetBasicAuth("anna", row.password)
		}
		if row.destination != "" {
			request.Header.Set("Destination", row.destination)
		}
		response, err := w.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if body := read(t, response); response.StatusCode != row.want {
			t.Errorf("%s %s: %s, want %d: %s", row.method, row.path, response.Status, row.want, body)
		}
	}
}
