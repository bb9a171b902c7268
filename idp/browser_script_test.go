package idp_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"
)

// frames is a page that frames another and notes every message it gets from
// it; say posts a message into the frame.
const frames = `<!doctype html><title>parent</title><body><script>
window.heard = [];
addEventListener("message", (event) => heard.push(event.data));
const frame = document.createElement("iframe");
frame.src = "FRAMED";
frame.onload = () => { window.loaded = true; };
document.body.append(frame);
window.say = (message) => { frame.contentWindow.postMessage(JSON.stringify(message), "*"); };
</script>`

// provisions is a page of the website that uses the provisioning script and
// may be framed by every origin.
const provisions = `<!doctype html><title>child</title><script src="https://example.test/persona/provisioning_api.js"></script><script>
window.got = [];
navigator.id.beginProvisioning((email, seconds) => {
  got.push(email, seconds);
  navigator.id.genKeyPair((key) => {
    got.push(key);
    navigator.id.registerCertificate("certificate");
    navigator.id.raiseProvisioningFailure("after completion");
    navigator.id.beginProvisioning(() => got.push("after completion"));
  });
});
</script>`

const child = `document.querySelector("iframe").contentWindow`

// The script answers only hubs of the list. To an unlisted one it is silent,
// although this page may be framed by it.
func TestBrowserScriptIsSilentToAnUnlistedHub(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.page("https://example.test/own", "text/html", provisions)
	n.page("https://hub.evil.test/", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	n.page("https://hub.example.test/", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	for parent, want := range map[string]string{
		"https://hub.evil.test/":    `[]`,
		"https://hub.example.test/": `ping`,
	} {
		n.open(parent)
		n.until(`window.loaded === true`)
		n.js(`say({method: "vep_prov::__ready", params: "ping"}); say({id: 1, result: {email: "x", cert_duration_s: 1}}); ""`)
		n.until(`window.loaded === true && performance.now() > 1000`)
		heard := n.js(`JSON.stringify(heard)`)
		if !strings.Contains(heard, want) || (want == "[]" && heard != want) {
			t.Errorf("%s heard %s", parent, heard)
		}
	}
}

// A conversation with an allowed hub, with messages thrown in that are wrong
// by form, id, origin or source, and the silence after completion.
func TestBrowserScriptConversation(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	// On the own origin, so that the test can look into the frame.
	n.page("https://example.test/own", "text/html", provisions)
	n.page("https://example.test/parent", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	n.open("https://example.test/parent")
	n.until(`window.loaded === true && heard.length === 1`) // the script's own ping
	if got := n.js(`heard[0]`); got != `{"method":"vep_prov::__ready","params":"ping"}` {
		t.Errorf("the script begins with %s", got)
	}
	heard := func(count string) { t.Helper(); n.until(`heard.length === ` + count) }
	n.js(`say({method: "vep_prov::__ready", params: "pung"}); say({method: "other::__ready", params: "ping"}); say(null); say([]); say("x");
		document.querySelector("iframe").contentWindow.postMessage("{", "*");
		document.querySelector("iframe").contentWindow.postMessage({method: "vep_prov::__ready", params: "ping"}, "*");
		say({method: "vep_prov::__ready", params: "ping"}); ""`)
	heard(`3`)
	if got := n.js(`heard[1]`); got != `{"method":"vep_prov::__ready","params":"pong"}` {
		t.Errorf("a ping is answered by %s", got)
	}
	if got := n.js(`JSON.parse(heard[2]).method`); got != "vep_prov::beginProvisioning" {
		t.Errorf("what waited is %s", got)
	}
	// Wrong source: the frame posts to itself. Wrong id. Then the answer.
	n.js(`window.id = JSON.parse(heard[2]).id; window.answer = JSON.stringify({id, result: {email: "evil@example.test", cert_duration_s: 1}});
		` + child + `.eval("window.postMessage(" + JSON.stringify(answer) + ", '*')");
		say({id: id + 7, result: {email: "evil@example.test", cert_duration_s: 1}});
		say({method: "vep_prov::__ready", params: "ping"});
		` + child + `.setTimeout(() => say({id, result: {email: "alice@example.test", cert_duration_s: 600}}), 50);
		""`)
	heard(`4`)
	n.js(`say({id, result: {email: "again@example.test", cert_duration_s: 1}}); say({id: JSON.parse(heard[3]).id, result: "key"}); ""`)
	heard(`5`)
	if got := n.js(`heard[4]`); got != `{"method":"vep_prov::registerCertificate","params":"certificate"}` {
		t.Errorf("the end is %s", got)
	}
	if got := n.js(`JSON.stringify(` + child + `.got)`); got != `["alice@example.test",600,"key"]` {
		t.Errorf("the page got %s", got)
	}
	n.js(`say({method: "vep_prov::__ready", params: "ping"}); ""`)
	n.until(`performance.now() > 1000`)
	heard(`5`)
}

func TestBrowserScriptsLeaveAnotherImplementationAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.page("https://example.test/native", "text/html", `<script>navigator.id = {beginProvisioning: "native", beginAuthentication: "native"};</script>
<script src="/persona/provisioning_api.js"></script><script src="/persona/authentication_api.js"></script>`)
	n.open("https://example.test/native")
	if got := n.js(`[navigator.id.beginProvisioning, navigator.id.beginAuthentication, navigator.id.genKeyPair].join()`); got != "native,native," {
		t.Errorf("the scripts have replaced %s", got)
	}
	n.page("https://example.test/shimmed", "text/html", `<script>navigator.id = {beginProvisioning: 1, beginAuthentication: 1, _primaryAPIIsShimmed: true};</script>
<script src="/persona/provisioning_api.js"></script><script src="/persona/authentication_api.js"></script>`)
	n.open("https://example.test/shimmed")
	const thrown = `["beginProvisioning", "genKeyPair", "beginAuthentication"].map((name) => { try { navigator.id[name]("x"); return "nothing"; } catch (error) { return error.message; } }).join()`
	if got := n.js(thrown); strings.Count(got, "requires a callback argument") != 3 {
		t.Errorf("thrown: %s", got)
	}
	n.open("https://example.test/shimmed?email=a%2Bb+c%40x")
	n.js(`navigator.id.beginAuthentication((email) => { window.email = email; }); ""`)
	n.until(`window.email === "a+b c@x"`)
}
