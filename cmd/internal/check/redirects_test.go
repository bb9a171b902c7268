package check_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
)

// answers are what a website answers, by path.
type answers = map[string]func(http.ResponseWriter, *http.Request)

// leaking redirects to an address in which PORT is the port at which the website listens.
func leaking(to string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Location", strings.ReplaceAll(to, "PORT", port))
		w.WriteHeader(http.StatusMovedPermanently)
	}
}

// TestRedirectsOfAWebsite: what persona corrects is only told; what leads visitors nowhere is a fault
// that names the line to write.
func TestRedirectsOfAWebsite(t *testing.T) {
	t.Parallel()
	home := func(body string) func(http.ResponseWriter, *http.Request) { return text(200, "text/html", body) }
	const noPlain = `{http: "127.0.0.1:80"}`
	for name, test := range map[string]struct {
		answers answers
		off     bool   // rewrite_redirects: false
		listen  string // instead of noPlain
		want    want
	}{
		"corrected":            {answers{"/": leaking("http://example.test:PORT/start?a=b"), "/start": home("x")}, false, "", want{"answers", report.OK, "200 → /start?a=b (it says http://example.test:", ""}},
		"to plain HTTP":        {answers{"/": redirect("http://example.test/start"), "/start": home("x")}, false, "", want{"answers", report.OK, "200 → /start (it says http://example.test/start, which persona corrects)", ""}},
		"off":                  {answers{"/": leaking("http://example.test:PORT/start")}, true, "", want{"answers", report.Failed, "/start, where visitors reach nothing", "write rewrite_redirects: true"}},
		"off, nginx":           {answers{"/": leaking("http://example.test:PORT/start", "Server", "nginx/1.22.1")}, true, "", want{"answers", report.Failed, "visitors reach nothing", "absolute_redirect off; into the server block of the website's nginx, or write rewrite_redirects: true"}},
		"off, Apache":          {answers{"/": leaking("http://example.test/start", "Server", "Apache/2.4.71 (Debian)")}, true, "", want{"answers", report.Warning, "visitors leave HTTPS", "ServerName https://example.test and UseCanonicalName On"}},
		"off, no plain HTTP":   {answers{"/": redirect("http://example.test/start")}, true, `{https: "127.0.0.1:443", http: ""}`, want{"answers", report.Failed, "visitors reach nothing", "relative addresses"}},
		"another port":         {answers{"/": redirect("http://example.test:9999/start")}, false, "", want{"answers", report.Warning, "unless something else listens at port 9999", "public address https://example.test"}},
		"in circles":           {answers{"/": redirect("http://example.test/")}, false, "", want{"answers", report.Failed, "redirects https://example.test/ to http://example.test/: with persona in front, in circles", "X-Forwarded-Proto"}},
		"in circles, off":      {answers{"/": redirect("http://example.test/")}, true, "", want{"answers", report.Failed, "in circles", "X-Forwarded-Proto"}},
		"in circles by itself": {answers{"/": redirect("https://example.test/")}, false, "", want{"answers", report.Failed, "in circles", "X-Forwarded-Proto"}},
		"in circles, WordPress": {
			answers{"/": leaking("https://example.test/", "X-Redirect-By", "WordPress")},
			false, "",
			want{"answers", report.Failed, "in circles", "wp-config.php: if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = 443; }"},
		},
		"another public port": {answers{"/": leaking("http://example.test:PORT/start"), "/start": home("x")}, false, `{http: "127.0.0.1:80", public_https: 8443}`, want{"answers", report.OK, "200 → /start", ""}},
		"directory": {
			answers{"/": home(`<a href="/wiki/">wiki</a> <a href="?a">`), "/wiki": leaking("http://example.test:PORT/wiki/")},
			false, "",
			want{"redirects", report.OK, "/wiki → /wiki/ (it says http://example.test:", ""},
		},
		"directory, off": {
			answers{"/": home(`<img src="/img/logo.png">`), "/img": leaking("http://example.test:PORT/img/", "Server", "nginx")},
			true, "",
			want{"redirects", report.Failed, "/img: it redirects to http://example.test:", "absolute_redirect off;"},
		},
		"relative directory": {answers{"/": home(`<link rel=stylesheet href="css/a.css?ver=6.1.9">`), "/css": redirect("/css/")}, true, "", want{"redirects", report.OK, "/css → /css/", ""}},
		"no directory":       {answers{"/": home(`<a href="/persona/">sign in</a><a href="https://elsewhere.test/x/">x</a><form action="/delete/x/"></form><a href="/log/out/?all">x</a>`)}, false, "", want{"redirects", report.Skipped, "names no directory", ""}},
		"no redirect":        {answers{"/": home(`<a href="/wiki/">wiki</a>`)}, false, "", want{"redirects", report.OK, "none at /wiki", ""}},
		"no page":            {answers{"/": text(500, "text/plain", "x")}, false, "", want{"redirects", report.Skipped, "shows no page", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yaml := withWebsite(site(t, test.answers))
			if test.off {
				yaml = replaced(yaml, "directory: corp}", "directory: corp, rewrite_redirects: false}")
			}
			if test.listen != "" {
				yaml = replaced(yaml, noPlain, test.listen)
			}
			if strings.Contains(test.listen, `http: ""`) {
				folder := folder(t)
				writePair(t, folder, newInternet(t).authority.TLS(t, "example.test").Certificates[0])
				yaml = replaced(yaml, "tls: {mode: \"off\"}\ntrusted_proxies: [private]", "tls: {mode: files, cert_file: tls.pem, key_file: tls.key}")
				look(t, newInternet(t).checker(load(t, folder, yaml)).Everything()).expect(t, test.want)
				return
			}
			look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything()).expect(t, test.want)
		})
	}
}

// TestAddressesInPages: what browsers refuse in a page that came by HTTPS, with the line that
// cures it.
func TestAddressesInPages(t *testing.T) {
	t.Parallel()
	const wordPress = `<!DOCTYPE html><html><head><meta name="generator" content="WordPress 6.1.9" />
<link rel="dns-prefetch" href="//s.w.org"><link rel='stylesheet' id='a-css' href='http://example.test/wp-includes/css/a.css?ver=6.1' media='all' />
<script src='http://example.test/wp-includes/js/jquery.min.js?ver=3' id='j'></script></head><body><form name="loginform" action="http://example.test/wp-login.php" method="post">
<img src="http://example.test/a.png"><link rel=stylesheet href="http://example.test/b.css">`
	const refused = "browsers refuse such scripts and style sheets in a page that came by HTTPS, and call such a form not secure"
	for name, test := range map[string]struct {
		body   string
		status report.Status
		seen   string
		cure   string
	}{
		"WordPress": {
			wordPress, report.Failed,
			"(form http://example.test/wp-login.php, script http://example.test/wp-includes/js/jquery.min.js?ver=3, style sheet http://example.test/wp-includes/css/a.css?ver=6.1 and 1 more): " + refused,
			"write at the head of wp-config.php: if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') { $_SERVER['HTTPS'] = 'on'; $_SERVER['SERVER_PORT'] = 443; } and set home and siteurl to https://example.test",
		},
		"WordPress without its name": {`<script src="http://example.test/wp-content/a.js"></script>`, report.Failed, "script http://example.test/wp-content/a.js", "wp-config.php"},
		"MediaWiki":                  {`<meta name=generator content="MediaWiki 1.39.7"><form action="http://example.test/w/index.php">`, report.Failed, "form http://example.test/w/index.php", `$wgServer = "https://example.test"; into LocalSettings.php`},
		"Ghost":                      {`<meta name="generator" content="Ghost 6.65"><link rel="stylesheet" href="http://example.test/a.css">`, report.Failed, "style sheet http", "url: https://example.test"},
		"others":                     {`<script src=http://example.test/a.js></script>`, report.Failed, "script http://example.test/a.js", "X-Forwarded-Proto"},
		"another port":               {`<script src="HTTP://Example.TEST:8080/a.js"></script>`, report.Failed, "script http://Example.TEST:8080/a.js", "X-Forwarded-Proto"},
		"another of our hosts":       {`<script src="http://www.example.test/a.js"></script>`, report.Failed, "script http://www.example.test/a.js", "X-Forwarded-Proto"},
		"base":                       {`<base href="http://example.test/"><form action="go">`, report.Failed, "form http://example.test/go", ""},
		"button":                     {`<button formaction="http://example.test/x">`, report.Failed, "form http://example.test/x", ""},
		"frame":                      {`<iframe src="http://example.test/x"></iframe>`, report.Failed, "frame http://example.test/x", ""},
		"escaped":                    {`<script src="http&#58;//example.test/a.js?b&amp;c"></script>`, report.Failed, "script http://example.test/a.js?b&c", ""},
		"images":                     {`<img src="http://example.test/a.png"><video src="http://example.test/b.mp4">`, report.Warning, "image or media http://example.test/a.png, image or media http://example.test/b.mp4): browsers try https", "X-Forwarded-Proto"},
		"upgraded":                   {`<meta http-equiv="Content-Security-Policy" content="default-src *; Upgrade-Insecure-Requests">` + wordPress, report.OK, "upgrade-insecure-requests", ""},
		"fine":                       {`<script src="/a.js"></script><link rel=stylesheet href="https://example.test/a.css"><script src="//example.test/b.js"></script><base href="http://example.test/"><form action=""><form>`, report.OK, "nothing from http://", ""},
		"elsewhere":                  {`<script src="http://cdn.test/a.js"></script><a href="http://example.test/">home</a><a href="http://%zz/">x</a>`, report.OK, "nothing", ""},
		"in a comment":               {`<!-- <script src="http://example.test/a.js"></script> --><textarea><script src="http://example.test/a.js"></textarea><script>"<form action='http://example.test/'>"</script>`, report.OK, "nothing", ""},
		"long":                       {strings.Repeat("<p>x", 400000) + `<script src="http://example.test/a.js"></script>`, report.OK, "nothing", ""}, // read to 1 MiB
		"many":                       {strings.Repeat(`<img src=/a>`, 5000) + `<script src="http://example.test/a.js"></script>`, report.Failed, "script http://example.test/a.js", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yaml := withWebsite(site(t, answers{"/": text(200, "Text/HTML; charset=utf-8", test.body)}))
			yaml = replaced(yaml, "directory: corp}", "directory: corp, hosts: [www.example.test]}")
			look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything()).
				expect(t, want{"addresses", test.status, test.seen, test.cure})
		})
	}
	t.Run("no page", func(t *testing.T) {
		t.Parallel()
		for kind, answer := range map[string]func(http.ResponseWriter, *http.Request){
			"another kind": text(200, "text/plain", wordPress),
			"by header": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Security-Policy", "upgrade-insecure-requests;")
				text(200, "text/html", wordPress)(w, r)
			},
		} {
			found := look(t, newInternet(t).checker(load(t, folder(t), withWebsite(site(t, answers{"/": answer})))).Everything())
			if f := found.of("addresses")[0]; f.Status != report.OK {
				t.Error(kind, fmt.Sprintf("%+v", f))
			}
		}
	})
}
