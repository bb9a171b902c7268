package idp_test

import (
	"net/http"
	"strconv"
	"testing"

	"persona-sidecar/idp/web"
)

const silentFrame = "https://example.test/persona/communication_iframe"

// framesByHand is a site that speaks with the silent frame by itself, without
// include.js: raw posts anything into it, say a message of its protocol, and
// said is what it has answered. From inside another page it reports there.
const framesByHand = `<!doctype html><title>by hand</title><body><script>
window.heard = [];
window.others = [];
window.said = () => heard.join(" ");
window.raw = (data) => frames[0].postMessage(data, "*");
window.say = (method, params, id) => raw(JSON.stringify({ id, method: "mozid_ni::" + method, params }));
window.begin = () => {
  const frame = document.createElement("iframe");
  frame.onload = () => { window.loaded = true; };
  frame.src = "` + silentFrame + `";
  document.body.append(frame);
};
addEventListener("message", (event) => {
  if (event.source !== frames[0]) { others.push(event.data); return; }
  const { method, params, id } = JSON.parse(event.data);
  if (params && params.assertion) window.assertion = params.assertion;
  heard.push(method ? method.replace("mozid_ni::", "") : "answer" + id);
  if (window === top) return;
  if (method === "mozid_ni::__ready") say("loaded", null, 1);
  top.postMessage(said(), "*");
});
if (window !== top) begin();
</script>`

// speaksInto is a page that posts into the first frame of the page that opened
// or framed it, in the name of a site, whenever it is told to.
const speaksInto = `<!doctype html><title>intruder</title><script>
const page = opener || parent;
addEventListener("message", () => {
  for (const method of ["loggedInUser", "logout", "dialog_running", "loaded"]) {
    page.frames[0].postMessage(JSON.stringify({ id: 66, method: "mozid_ni::" + method, params: null }), "*");
  }
  page.postMessage("spoken", "*");
});
page.postMessage("here", "*");
</script>`

// framing opens such a site, with the silent frame in it.
func (n *network) framing(site string) {
	n.t.Helper()
	n.page(site+"/hand", "text/html", framesByHand)
	n.open(site + "/hand")
	n.js(`begin(); ""`)
	n.heard("__ready")
}

// What is not of the protocol by its form, its scope or its method does
// nothing: the site is not signed out, and nothing is answered.
func TestBrowserSilentFrameMalformed(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")
	n.framing(nearSite)
	events := "__ready login answer0"
	n.js(`say("loaded", null, 0); ""`)
	n.heard(events)
	for i, data := range []string{
		`"{"`, `""`, `"null"`, `"7"`, `"[]"`, `null`, `7`, `new ArrayBuffer(8)`, `'"mozid_ni::logout"'`,
		`{id: 7, method: "mozid_ni::logout"}`, // not as JSON text
		`'{"id":7,"method":["mozid_ni::logout"]}'`, `'{"id":7,"method":{"toString":1}}'`, `'[{"id":7,"method":"mozid_ni::logout"}]'`,
		`'{"id":7,"method":"logout"}'`, `'{"id":7,"method":"vep_prov::logout"}'`, `'{"id":7,"method":"Mozid_ni::logout"}'`,
		`'{"id":7,"method":" mozid_ni::logout"}'`, `'{"id":7,"method":"mozid_ni::mozid_ni::logout"}'`,
		`'{"id":7,"method":"mozid_ni::"}'`, `'{"id":7,"method":"mozid_ni::Loaded"}'`, `'{"id":7,"method":"mozid_ni::constructor"}'`,
		`'{"id":7,"method":"mozid_ni::__proto__","params":{"loaded":1}}'`, `'{"id":7,"method":"mozid_ni::__ready","params":"ping"}'`,
		`'{"id":7,"method":"mozid_ni::login","params":{"assertion":"forged"}}'`, `'{"id":7,"result":null}'`,
	} {
		id := strconv.Itoa(i + 1)
		n.js(`raw(` + data + `); say("loaded", null, ` + id + `); ""`)
		events += " match answer" + id
		t.Log(data)
		n.heard(events)
	}
	n.verify(nearSite, "alice@example.test")
}

// The frame hears the page that frames it, and no other window: neither of
// another site nor of the same, neither before that page has spoken nor after.
func TestBrowserSilentFrameWrongSource(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")
	n.framing(nearSite)
	for _, site := range []string{evilSite, farSite, nearSite} {
		n.page(site+"/intruder", "text/html", speaksInto)
		n.js(`document.body.append(document.createElement("iframe")); document.body.lastChild.src = "` + site + `/intruder"; ""`)
		n.popup(func() {
			n.js(`(window.popups ||= []).push(open("` + site + `/intruder", "_blank", "width=200,height=200")); ""`)
		})
	}
	n.until(`others.filter((word) => word === "here").length === 6`)
	intrude := func(events string) {
		t.Helper()
		n.js(`others.length = 0; for (const w of [frames[1], frames[2], frames[3], ...popups]) w.postMessage("speak", "*"); ""`)
		n.until(`others.filter((word) => word === "spoken").length === 6`)
		n.quiet(events)
	}
	intrude("__ready")
	n.js(`say("loaded", null, 1); ""`)
	n.heard("__ready login answer1")
	n.verify(nearSite, "alice@example.test")
	intrude("__ready login answer1")
	n.js(`say("loaded", null, 2); ""`)
	n.heard("__ready login answer1 match answer2")
}

// The frame stays with the first origin. No browser lets a page change its
// origin under a frame, so the events are made here, by a page that may look
// into the frame.
func TestBrowserSilentFramePinned(t *testing.T) {
	t.Parallel()
	const own = "https://example.test"
	n := newSites(t)
	n.signInAt(own+"/", "alice@example.test")
	n.framing(own)
	n.js(`window.forge = (origin, source) => { for (const method of ["logout", "loaded"]) frames[0].dispatchEvent(new frames[0].MessageEvent("message",
		{ origin, source, data: JSON.stringify({ id: 66, method: "mozid_ni::" + method }) })); }; ""`)
	n.js(`forge("` + own + `", frames[0]); forge("` + own + `", null); say("loaded", null, 1); ""`)
	n.heard("__ready login answer1")
	n.js(`for (const origin of ["` + evilSite + `", "` + nearSite + `", "` + own + `:8443", "null", ""]) forge(origin, window);
		forge("` + own + `", frames[0]); forge("` + own + `", null); say("loaded", null, 2); ""`)
	n.heard("__ready login answer1 match answer2")
	// An event that is made like this is heard, when it is right.
	n.js(`forge("` + own + `", window); ""`)
	n.heard("__ready login answer1 match answer2 answer66")
}

// What a site says before the frame is ready is lost, and out of order or
// twice it gets no more than in order and once.
func TestBrowserSilentFrameOutOfOrder(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")

	files, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := n.holdBack("https://example.test" + files.StaticPath("communication_iframe.js"))
	n.page(nearSite+"/hand", "text/html", framesByHand)
	n.open(nearSite + "/hand")
	n.js(`begin(); ""`)
	<-arrived
	n.js(`say("logout"); say("loaded", null, 1); ""`)
	n.quiet("")
	release()
	n.heard("__ready")
	// While a dialog is open the answer comes from there, however often that is said.
	n.js(`say("dialog_running"); say("dialog_running"); say("loaded", null, 2); ""`)
	n.heard("__ready answer2")
	n.js(`say("dialog_complete", false); say("dialog_complete", false); say("loaded", null, 3); say("loaded", null, 3); ""`)
	n.heard("__ready answer2 login answer3 match answer3")
	n.verify(nearSite, "alice@example.test")

	// A site signs itself out, without having asked and twice, and no other.
	const other = "https://other.example.test"
	n.framing(other)
	n.js(`say("logout", "` + nearSite + `"); say("logout"); say("loggedInUser", {user: "alice@example.test"}); say("loaded", null, 1); ""`)
	n.heard("__ready logout answer1")
	n.framing(nearSite)
	n.js(`say("dialog_complete", true); say("loaded", null, 1); ""`)
	n.heard("__ready login match answer1")
	n.framing(nearSite)
	n.js(`say("logout"); say("logout"); say("loaded", null, 1); say("dialog_complete", true); say("loaded", null, 2); ""`)
	n.heard("__ready answer1 answer2")
	n.framing(nearSite)
	n.js(`say("loaded", null, 1); ""`)
	n.heard("__ready logout answer1")
}

// Until the host has said that the site may ask, and when it says otherwise or
// nothing, the frame is silent, even to a site that the person has agreed to.
func TestBrowserSilentFrameAsksTheHost(t *testing.T) {
	t.Parallel()
	const asked = "https://example.test/persona/wsapi/relying_party"
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")
	for _, answer := range []string{`{"allowed":false}`, `{"allowed":"true"}`, `{}`, `null`, `not JSON`} {
		n.page(asked, "application/json", answer)
		n.framing(nearSite)
		n.js(`say("loaded", null, 1); say("logout"); say("dialog_complete", true); ""`)
		n.quiet("__ready")
	}
	arrived, release := n.holdBack(asked)
	n.framing(nearSite)
	n.js(`say("loaded", null, 1); ""`)
	<-arrived
	n.quiet("__ready")
	release()
	n.heard("__ready login answer1")
	n.verify(nearSite, "alice@example.test")
}

// A site that may not use the hub cannot frame it: neither by its own page nor
// around the page of a site that may. A port is another site.
func TestBrowserSilentFrameNotAllowed(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")
	n.page(nearSite+"/hand", "text/html", framesByHand)
	for _, site := range []string{evilSite, nearSite + ":8443"} {
		n.page(site+"/hand", "text/html", framesByHand)
		n.open(site + "/hand")
		n.js(`begin(); ""`)
		n.until(`window.loaded === true`)
		n.js(`say("loggedInUser", {user: null}); say("loaded", null, 1); say("dialog_complete", true); ""`)
		n.quiet("")
		n.around(site)
		n.quiet("")
	}
	n.framing(nearSite) // which may
}

// On another site the frame answers, and says nothing: neither to a site that
// the person has signed in to, nor to one on the hub's site that is inside.
func TestBrowserSilentFrameElsewhere(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/", "alice@example.test")
	n.open(farSite + "/")
	d := n.dialog()
	d.screen("choose")
	d.settle()
	d.click("#sign-in")
	n.heard("ready login")
	n.framing(farSite)
	n.js(`say("loaded", null, 1); say("loggedInUser", {user: null}); say("dialog_complete", true); say("loaded", null, 2);
		say("loggedInUser", {user: "alice@example.test"}); say("loaded", null, 3); say("loggedInUser", {user: "bob@example.test"}); say("loaded", null, 4); ""`)
	n.heard("__ready answer1 answer2 answer3 answer4")
	n.quiet("__ready answer1 answer2 answer3 answer4")

	n.page(nearSite+"/hand", "text/html", framesByHand)
	n.around(farSite)
	n.heard("__ready answer1")
	n.quiet("__ready answer1")
}

// around opens a page of a site that frames one of nearSite, which has the
// silent frame; said is what that one has heard.
func (n *network) around(site string) {
	n.t.Helper()
	n.page(site+"/around", "text/html", `<!doctype html><title>around</title><script>
window.last = "";
window.said = () => last;
addEventListener("message", (event) => { last = event.data; });
</script><iframe src="`+nearSite+`/hand"></iframe>`)
	n.open(site + "/around") // loaded with all frames
}

// holdBack lets the host's answers at an address wait until they are released;
// arrived has a value for each request.
func (n *network) holdBack(address string) (arrived <-chan struct{}, release func()) {
	came, released := make(chan struct{}, 16), make(chan struct{})
	n.pages.Store(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-released:
			n.server.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	return came, func() { close(released); n.pages.Delete(address) }
}
