package idp_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/web"

	"github.com/chromedp/chromedp"
)

// dialogModule is where a module of the dialog is served.
func dialogModule(t *testing.T, name string) string {
	t.Helper()
	files, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return files.StaticPath("dialog/" + name)
}

// module evaluates an expression with a module of the dialog as m, in a page
// of the hub's origin.
func (n *network) module(name, expression string) string {
	n.t.Helper()
	script := `import(` + quote(dialogModule(n.t.(*testing.T), name)) + `).then((m) => ` + expression + `)`
	got, err := chromedp.Run(n.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		n.t.Fatalf("%s: %v", expression, err)
	}
	return got
}

// What a site may ask for, option by option.
func TestBrowserDialogOptions(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.page("https://example.test/plain", "text/html", `<!doctype html><title>plain</title>`)
	n.open("https://example.test/plain")
	long := strings.Repeat("a", 2100)
	tests := []struct{ options, want string }{
		{`{}`, ``},
		{`{unknown: () => 1, toString: 1}`, ``},
		{`{siteName: "A <b>"}`, `siteName=A <b>`},
		{`{siteName: "", siteLogo: "", termsOfService: "", privacyPolicy: "", returnTo: "", backgroundColor: "", email: "", start_time: ""}`, ``},
		{`{siteName: null, siteLogo: undefined, returnTo: false, email: 0, silent: "", experimental_forceAuthentication: "", experimental_forceIssuer: "", experimental_allowUnverified: ""}`, ``},
		{`{siteName: 7}`, `siteName: must be a string`},
		{`{siteLogo: "/logo.png"}`, `siteLogo=https://rp.other.test/logo.png`},
		{`{siteLogo: "//cdn.test/logo.png"}`, `siteLogo=https://cdn.test/logo.png`},
		{`{siteLogo: "https://cdn.test/logo.png"}`, `siteLogo=https://cdn.test/logo.png`},
		{`{siteLogo: "http://cdn.test/logo.png"}`, `siteLogos can only be served from https and data schemes.`},
		{`{siteLogo: "javascript:alert(1)"}`, `siteLogo: relative urls not allowed: (javascript:alert(1))`},
		{`{siteLogo: "data:image/png;base64,AAAA"}`, `siteLogo=data:image/png;base64,AAAA`},
		{`{siteLogo: "data:image/png;base64," + "A".repeat(131072)}`, `siteLogo: a data URL may have 128 KiB at most`},
		{`{siteLogo: "data:text/html;base64,AAAA"}`, `siteLogo: a data URL must be a png, gif, jpg, jpeg or svg+xml image in base64`},
		{`{siteLogo: "data:image/svg+xml,<svg/>"}`, `siteLogo: a data URL must be a png, gif, jpg, jpeg or svg+xml image in base64`},
		{`{termsOfService: "/terms", privacyPolicy: "http://x.test/p"}`, `termsOfService=https://rp.other.test/terms privacyPolicy=http://x.test/p`},
		{`{termsOfService: "terms.html"}`, `termsOfService: relative urls not allowed: (terms.html)`},
		{`{privacyPolicy: "javascript:alert(1)"}`, `privacyPolicy: relative urls not allowed: (javascript:alert(1))`},
		{`{privacyPolicy: "https://"}`, `privacyPolicy: not a valid URL`},
		{`{privacyPolicy: "/` + long + `"}`, `privacyPolicy: longer than 2083 characters`},
		{`{returnTo: "/"}`, `returnTo=https://rp.other.test/`},
		{`{returnTo: "/a?b#c"}`, `returnTo=https://rp.other.test/a?b#c`},
		{`{returnTo: "https://rp.other.test/a"}`, `returnTo=https://rp.other.test/a`},
		{`{returnTo: "//evil.test/"}`, `returnTo: must be an absolute path on the site's own origin`},
		{`{returnTo: "/\\evil.test/"}`, `returnTo: must be an absolute path on the site's own origin`},
		{`{returnTo: "https://rp.other.test.evil.test/"}`, `returnTo: must be an absolute path on the site's own origin`},
		{`{returnTo: "https://rp.other.test@evil.test/"}`, `returnTo: must be an absolute path on the site's own origin`},
		{`{returnTo: "a"}`, `returnTo: must be an absolute path on the site's own origin`},
		{`{backgroundColor: "#AbC"}`, `backgroundColor=aabbcc`},
		{`{backgroundColor: "0a7d5a"}`, `backgroundColor=0a7d5a`},
		{`{backgroundColor: "red"}`, `backgroundColor: must have 3 or 6 hex digits`},
		{`{backgroundColor: "12345"}`, `backgroundColor: must have 3 or 6 hex digits`},
		{`{email: "Ann+x@Example.test"}`, `email=ann+x@example.test`},
		{`{email: "ann@localhost"}`, `email: must be an e-mail address`},
		{`{email: "ann@b@c.test"}`, `email: must be an e-mail address`},
		{`{email: "a".repeat(65) + "@b.test"}`, `email: must be an e-mail address`},
		{`{email: "ann@example.test\n"}`, `email: must be an e-mail address`},
		{`{silent: true}`, `silent=true`},
		{`{silent: "true"}`, `silent: must be true or false`},
		{`{start_time: 1.5}`, `start_time: must be an integer`},
		{`{start_time: 1385107565207}`, ``},
		{`{start_time: "1385107565207"}`, ``},
		{`{experimental_allowUnverified: 1}`, `experimental_allowUnverified: must be true or false`},
		{`{experimental_forceAuthentication: false}`, ``},
		{`{experimental_forceAuthentication: true}`, `experimental_forceAuthentication: this hub cannot demand a new sign-in`},
		{`{experimental_forceIssuer: "a/b"}`, `experimental_forceIssuer: must be a host name`},
		{`{experimental_forceIssuer: "issuer.test", experimental_allowUnverified: true}`, ``},
	}
	for _, test := range tests {
		got := n.module("options.js", `{ try {
			const checked = m.checkOptions(`+test.options+`, "https://rp.other.test");
			return Object.entries(checked).filter(([, v]) => v).map(([k, v]) => k + "=" + v).join(" ");
		} catch (error) { return error instanceof m.OptionError ? error.message : "FAULT " + error; } }`)
		if got != test.want {
			t.Errorf("%.100s gives %q, want %q", test.options, got, test.want)
		}
	}
}

// What the dialog demands of a certificate that it is handed.
func TestBrowserDialogChecksCertificates(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.page("https://example.test/plain", "text/html", `<!doctype html><title>plain</title>`)
	n.open("https://example.test/plain")
	tests := []struct{ name, change, want string }{
		{"right", ``, ``},
		{"without iat", `delete claims.iat`, ``},
		{"in capitals", `claims.principal.email = "Ann@Example.test"`, ``},
		{"another issuer", `claims.iss = "evil.test"`, `another issuer stands in it`},
		{"another address", `claims.principal.email = "bob@example.test"`, `another address stands in it`},
		{"no address", `delete claims.principal`, `another address stands in it`},
		{"another key", `claims["public-key"].n = "15"`, `another key stands in it`},
		{"another kind of key", `claims["public-key"].algorithm = "DS"`, `another key stands in it`},
		{"no key", `delete claims["public-key"]`, `another key stands in it`},
		{"expired", `claims.exp = now`, `it has expired`},
		{"seconds", `claims.exp = Math.floor(claims.exp / 1000)`, `it has expired`},
		{"no end", `delete claims.exp`, `it has expired`},
		{"of tomorrow", `claims.iat = now + 3600000`, `it is not valid yet`},
		{"two parts", `parts.pop()`, `it is not a signed text of three parts`},
		{"not base64url", `parts[1] = "a+b"`, `it is not a signed text of three parts`},
		{"not JSON", `parts[1] = "AAAA"`, `it cannot be read`},
		{"null", `claims = null`, `it cannot be read`},
		{"without algorithm", `header = {}`, `it cannot be read`},
	}
	for _, test := range tests {
		got := n.module("assertion.js", `{
			const now = 1700000000000, key = {algorithm: "RS", n: "33", e: "65537"};
			let header = {alg: "RS256"}, parts = [];
			let claims = {iss: "example.test", principal: {email: "ann@example.test"}, "public-key": {...key}, iat: now - 10000, exp: now + 3600000};
			const early = `+quote(test.change)+`;
			if (!early.startsWith("parts")) eval(early);
			const encode = (value) => btoa(JSON.stringify(value)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
			parts = [encode(header), encode(claims), "AAAA"];
			if (early.startsWith("parts")) eval(early);
			try { m.checkCertificate(parts.join("."), {issuer: "example.test", email: "ann@example.test", publicKey: JSON.stringify(key), now}); return ""; }
			catch (error) { return error.screen === "certificate" ? error.slots.reason : "FAULT " + error; } }`)
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
