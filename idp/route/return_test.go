package route_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/route"
)

func TestReturnPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/": "/", "/a": "/a", "/a//b": "/a//b", "/a?b=//c": "/a?b=//c", "/a#b": "/a#b", "/ä b": "/%C3%A4%20b", "/%c3%a4": "/%c3%a4", "/?q=%zz": "/?q=%zz",
		"/wiki/doku.php?id=start&do=edit": "/wiki/doku.php?id=start&do=edit", "/x/../y": "/x/../y", "/persona-x": "/persona-x", "/a/persona/": "/a/persona/", "/\xff": "/%FF",
		"/" + strings.Repeat("a", 2047): "/" + strings.Repeat("a", 2047),
	} {
		if got, err := route.ReturnPath(text); err != nil || got != want {
			t.Errorf("%.80q: %.80q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "x", "//x", "///x", `/\x`, `\x`, `\\x`, `/a\b`, "/\t/x", "/\n/x", "/\r\nX: y", "/\x00", "/\x7f", " /x", "\t//x", "https:x", "https://x", "https:/x", "HTTPS:\\\\x",
		"a@b.test", "//a@b.test", "data:text/html,x", "javascript:alert(1)", "?x", "#x", "/" + strings.Repeat("a", 2048), "/" + strings.Repeat("a", 10<<10), "/" + strings.Repeat("ä", 400),
		"/persona", "/persona/", "/persona/login?return=/", "/%70ersona/login", "/persona%2flogin", "/x/../persona/login", "/x/%2e%2e/persona/logout", "/../persona/", "/./persona/login", "/persona?x", "/persona#x", "/a//../../persona/login", "/%zz", "/%",
	} {
		if got, err := route.ReturnPath(text); err == nil {
			t.Errorf("%.80q is taken, as %.80q", text, got)
		}
	}
}

// FuzzReturnPath: what is taken resolves to a path on the same origin, as a browser does it.
func FuzzReturnPath(f *testing.F) {
	for _, seed := range []string{"/a", "//x", `/\x`, "/\t/x", "https:x", "/a?b#c", " /x", "/%2f/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := route.ReturnPath(text)
		if err != nil {
			return
		}
		if leavesOrigin(got) {
			t.Errorf("%q is taken, as %q", text, got)
		}
		if again, err := route.ReturnPath(got); err != nil || again != got {
			t.Errorf("%q becomes %q, and then %q", text, got, again)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q cannot stand in a header", got)
		}
	})
}

// leavesOrigin reports whether a reference, resolved against a page of https, may have another origin: URL Standard,
// section 4.4, as far as it decides on scheme and host.
func leavesOrigin(text string) bool {
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text)
	for i := 0; i < len(text); i++ { // scheme start state, scheme state
		letter := 'a' <= text[i]|0x20 && text[i]|0x20 <= 'z'
		if text[i] == ':' && i > 0 {
			return true // a scheme of its own; "https:x" alone is relative, and is not to be taken either
		}
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(text[i]))) {
			break
		}
	}
	slashes := strings.ReplaceAll(text, `\`, "/") // of a special scheme
	return strings.HasPrefix(slashes, "//")
}
