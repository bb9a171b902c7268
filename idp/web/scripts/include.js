// @ts-check
// navigator.id for relying parties. A Content-Security-Policy has to allow this host in
// script-src, and in frame-src if watch gets an onlogout. The dialog is a popup; where popups
// are blocked, the page goes there itself and gets the answer in the fragment.
(function () {
  "use strict";

  /** Base URL of the hub, written by the server from its configuration. */
  const hub = JSON.parse('HUBS')[0];
  const hubOrigin = new URL(hub).origin;

  const nav = /** @type {any} */ (window.navigator);
  if (nav.id && nav.id.request && (!nav.id._shimmed || nav.id._hub === hub)) return;
  const id = nav.id || (nav.id = {});
  id._shimmed = true;
  id._hub = hub;

  /** What watch was given; null before. @type {any} */
  let observers = null;
  /** Whom the site takes to be signed in: null no one, undefined not said. @type {string | null | undefined} */
  let user;
  /** The window of the open dialog. @type {Window | null} */
  let dialog = null;

  const scope = "mozid_ni::";
  const stateKey = "persona.redirect";
  const POLL_MS = 500;
  const SILENCE_MS = 10000;

  /** @param {boolean} holds @param {string} words */
  function demand(holds, words) {
    if (!holds) throw new Error(words);
  }

  const demandThis = (/** @type {any} */ self) => demand(self === id, "all navigator.id calls must be made on the navigator.id object");

  /** @param {string} where @param {any[]} values */
  function demandFunctions(where, ...values) {
    const fine = values.every((value) => !value || typeof value === "function");
    demand(fine, "non-function where function expected in parameters to navigator.id." + where + "()");
  }

  /** Takes an old name for an option. @param {any} options @param {string} old @param {string} now */
  function rename(options, old, now) {
    if (!(old in options)) return;
    demand(!(now in options), "you cannot supply *both* " + old + " and " + now);
    options[now] = options[old];
  }

  /** @param {unknown} data @returns {any} */
  function parse(data) {
    try {
      return (typeof data === "string" && JSON.parse(data)) || {};
    } catch {
      return {}; // a message of another script
    }
  }

  function random() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** Calls an observer of the site, whose faults are its own. @param {string} name @param {any} [value] */
  function tell(name, value) {
    const observer = observers && observers[name];
    if (!observer) return;
    try {
      observer(value);
    } catch (error) {
      setTimeout(() => { throw error; }, 0);
    }
  }

  // ---- the dialog ----

  /** Brings an open dialog to the front; false if none. */
  function focused() {
    if (dialog) dialog.focus();
    return !!dialog;
  }

  /**
   * @param {any} params
   * @param {(answer: any) => void} callback gets {assertion, email}, or null
   * @param {boolean} mayLeave whether the page may go to the dialog itself
   */
  function openDialog(params, callback, mayLeave) {
    const nonce = random();
    const request = JSON.stringify({ a: "request", d: { method: "get", params: { ...params, nonce } } });
    const features = "menubar=0,location=1,resizable=1,scrollbars=1,status=0,width=700,height=375";
    const popup = window.open(hub + "/sign_in", "__persona_dialog_" + nonce, features);
    if (!popup || popup.closed) {
      if (!mayLeave || !leave(params)) setTimeout(() => callback(null), 0);
      return;
    }
    dialog = popup;
    let closed = 0;

    /** @param {any} answer */
    const end = (answer) => {
      window.removeEventListener("message", receive);
      clearInterval(poll);
      dialog = null;
      popup.close();
      callback(answer);
    };
    /** @param {MessageEvent} event */
    const receive = (event) => {
      if (event.source !== popup || event.origin !== hubOrigin) return;
      const { a, d } = parse(event.data);
      if (a === "ready") popup.postMessage(request, hubOrigin);
      else if (a === "response" && d && d.nonce === nonce && typeof d.assertion === "string") end(d);
      else if (a === "error") end(null);
    };
    // A popup may be seen closed before its answer.
    const poll = setInterval(() => {
      if (popup.closed && ++closed > 1) end(null);
    }, POLL_MS);
    window.addEventListener("message", receive);
    popup.focus();
  }

  /** Goes to the dialog with this page. @param {any} params @returns {boolean} */
  function leave(params) {
    const here = window.location.href;
    const state = random();
    try {
      const returnTo = new URL(params.returnTo || here, here);
      if (returnTo.origin !== window.location.origin) return false;
      window.sessionStorage.setItem(stateKey, JSON.stringify({ state, hash: returnTo.hash }));
      returnTo.hash = "";
      const request = encodeURIComponent(JSON.stringify({ ...params, returnTo: returnTo.href, state }));
      // A link says who asks, whatever the page's policy.
      const href = hub + "/sign_in#request=" + request;
      Object.assign(document.createElement("a"), { href, referrerPolicy: "origin", target: "_self" }).click();
      return true;
    } catch {
      return false; // without storage no answer could be verified
    }
  }

  /** The answer that this page was loaded with. @returns {any} */
  function takeAnswer() {
    const { hash, href } = window.location;
    if (!hash.startsWith("#persona_state=")) return null;
    const given = new URLSearchParams(hash.slice(1));
    let kept = {};
    let ours = false;
    try {
      kept = parse(window.sessionStorage.getItem(stateKey));
      ours = !!kept.state && kept.state === given.get("persona_state");
      if (ours) window.sessionStorage.removeItem(stateKey);
    } catch {
      // Without storage nothing was asked.
    }
    window.history.replaceState(window.history.state, "", href.split("#")[0] + ((ours && kept.hash) || ""));
    return ours ? { assertion: given.get("persona_assertion"), email: given.get("persona_email") } : null;
  }

  let answered = takeAnswer();

  /** The options that travel to the dialog. @param {any} options @param {string} rpAPI */
  function dialogParams(options, rpAPI) {
    const given = { ...options };
    for (const name in given) if (!given[name] || typeof given[name] === "function") delete given[name];
    rename(given, "tosURL", "termsOfService");
    rename(given, "privacyURL", "privacyPolicy");
    rename(given, "experimental_emailHint", "email");
    for (const name of ["siteName", "siteLogo", "backgroundColor"]) {
      if (observers && observers[name]) given[name] = observers[name];
    }
    if (!given.termsOfService || !given.privacyPolicy) given.termsOfService = given.privacyPolicy = undefined;
    return { ...given, rp_api: rpAPI, start_time: Date.now() };
  }

  // ---- the silent frame ----

  /** @type {HTMLIFrameElement | null} */
  let frame = null;
  let frameReady = false;
  /** What waits for the frame. @type {string[]} */
  let queue = [];
  /** What to do once the frame has looked or never will. @type {(() => void) | null} */
  let looked = null;
  let call = 0;

  /** @param {string} method @param {any} params @param {number} [id] of a call */
  function send(method, params, id) {
    if (!frame) return;
    const message = JSON.stringify({ id, method: scope + method, params });
    if (frameReady && frame.contentWindow) frame.contentWindow.postMessage(message, hubOrigin);
    else queue.push(message);
  }

  const sendUser = () => send("loggedInUser", { user, said: user !== undefined });

  function haveLooked() {
    const then = looked;
    looked = null;
    if (then) then();
  }

  function openFrame() {
    if (frame) return;
    frame = document.createElement("iframe");
    frame.hidden = true;
    frame.style.display = "none";
    frame.title = "persona";
    frame.src = hub + "/communication_iframe";
    // A refused frame never speaks.
    frame.addEventListener("load", () => setTimeout(() => frameReady || haveLooked(), 2000));
    (document.body || document.documentElement).append(frame);
  }

  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== hubOrigin) return;
    const message = parse(event.data);
    const method = String(message.method).replace(scope, "");
    if (method === "__ready" && !frameReady) {
      frameReady = true;
      if (message.params === "ping") send("__ready", "pong");
      for (const waiting of queue.splice(0)) event.source.postMessage(waiting, { targetOrigin: hubOrigin });
    } else if (message.id === call && !message.method) haveLooked();
    else if (!dialog && !answered) heard(method, message.params);
  });

  /** @param {string} method @param {any} params */
  function heard(method, params) {
    if (method === "login" && params && typeof params.assertion === "string") {
      user = params.email;
      tell("onlogin", params.assertion);
    } else if (method === "logout" && user !== null) {
      user = null;
      tell("onlogout");
    } else if (method === "match") tell("onmatch");
  }

  // ---- navigator.id ----

  id.watch = function (/** @type {any} */ options) {
    demandThis(this);
    demand(!!options && typeof options === "object", "navigator.id.watch() requires an object of options");
    const given = { ...options };
    demandFunctions("watch", given.onlogin, given.onlogout, given.onready, given.onmatch);
    demand(!!given.onlogin, "'onlogin' is a required argument to navigator.id.watch()");
    rename(given, "loggedInEmail", "loggedInUser");
    const stateful = !!given.onlogout;
    demand(stateful || !(given.onmatch || "loggedInUser" in given), "stateless api only allows onlogin and onready options");
    if (given.loggedInUser === false) given.loggedInUser = null;
    user = given.loggedInUser;
    demand(user === undefined || user === null || typeof user === "string", "loggedInUser is not a valid type");
    observers = given;
    looked = () => {
      const answer = answered;
      answered = null;
      if (answer && answer.assertion) {
        user = answer.email;
        sendUser();
        tell("onlogin", answer.assertion);
      }
      tell("onready");
    };
    if (!stateful) {
      setTimeout(haveLooked, 0);
      return;
    }
    setTimeout(haveLooked, SILENCE_MS);
    const begin = () => {
      openFrame();
      sendUser();
      send("loaded", null, (call = 1 + Math.floor(Math.random() * 1000000)));
    };
    if (document.body) begin();
    else document.addEventListener("DOMContentLoaded", begin);
  };

  id.request = function (/** @type {any} */ options) {
    demandThis(this);
    demand(!!observers, "navigator.id.watch must be called before navigator.id.request");
    const given = options || {};
    demandFunctions("request", given.oncancel);
    if (focused()) return;
    let api = observers.onready ? "watch_with_onready" : "watch_without_onready";
    if (!observers.onlogout) api = "stateless";
    send("dialog_running", null);
    openDialog(dialogParams(given, api), (answer) => {
      if (answer) {
        user = answer.email;
        sendUser();
        tell("onlogin", answer.assertion);
      } else if (given.oncancel) given.oncancel();
      send("dialog_complete", !answer);
    }, true);
  };

  id.logout = function (/** @type {any} */ callback) {
    demandThis(this);
    demandFunctions("logout", callback);
    user = null;
    send("logout", null);
    setTimeout(() => {
      tell("onlogout");
      if (callback) callback();
    }, 0);
  };

  for (const api of ["get", "getVerifiedEmail"]) id[api] = function (/** @type {any} */ callback, /** @type {any} */ options) {
    demandThis(this);
    demand(typeof callback === "function", "navigator.id." + api + "() requires a callback argument");
    demand(!observers, "navigator.id.get and navigator.id.watch cannot be used together");
    if (focused()) return;
    openDialog(dialogParams(options || {}, api), (answer) => callback(answer && answer.assertion), false);
  };

})();
