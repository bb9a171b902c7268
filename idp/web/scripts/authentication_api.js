// @ts-check
// The authentication side of navigator.id, for the page that the support
// document names as "authentication". A hub sends its popup to that page with
// the address in the query; completeAuthentication and
// raiseAuthenticationFailure send the popup back.
//
// The hub to return to is the one that the popup came from, if the
// configuration lists it; else the first of the list. It is remembered in the
// popup's sessionStorage, because signing in loads several pages.
(function () {
  "use strict";

  /** Base URLs of the hubs, written by the server from its configuration; the host's own first. */
  const hubs = JSON.parse('HUBS');

  const nav = /** @type {any} */ (window.navigator);
  if (nav.id && nav.id.beginAuthentication && !nav.id._primaryAPIIsShimmed) return;
  const id = nav.id || (nav.id = {});
  id._primaryAPIIsShimmed = true;

  const storageKey = "persona.hub";

  /** The hub that a referrer names, or null. @param {string} referrer @returns {string | null} */
  function hubOf(referrer) {
    if (!URL.canParse(referrer)) return null;
    const from = new URL(referrer);
    // Pages of our own origin are the hub only where they are the hub's page:
    // the sign-in pages themselves must not make us forget where we came from.
    if (from.origin === window.location.origin) return from.href.startsWith(hubs[0] + "/sign_in") ? hubs[0] : null;
    return hubs.find((/** @type {string} */ hub) => new URL(hub).origin === from.origin) || null;
  }

  /** @returns {string | null} */
  function remembered() {
    try {
      const hub = window.sessionStorage.getItem(storageKey);
      return hub !== null && hubs.includes(hub) ? hub : null;
    } catch {
      return null; // storage is blocked
    }
  }

  const arrivedFrom = hubOf(document.referrer);
  const hub = arrivedFrom || remembered() || hubs[0];
  if (arrivedFrom) {
    try {
      window.sessionStorage.setItem(storageKey, arrivedFrom);
    } catch {
      // Storage is blocked: the own hub is returned to after the form is sent.
    }
  }

  /** Learns the address that the hub asked for: untrusted text, only to be shown. */
  id.beginAuthentication = function (/** @type {(email: string) => void} */ callback) {
    if (typeof callback !== "function") throw new Error(".beginAuthentication() requires a callback argument");
    const email = new URLSearchParams(window.location.search).get("email") || "";
    setTimeout(() => callback(email), 0);
  };

  /** Returns to the hub after a sign-in. */
  id.completeAuthentication = function () {
    window.location.assign(hub + "/sign_in?AUTH_RETURN");
  };

  /** Returns to the hub without a sign-in. The reason is not passed on. */
  id.raiseAuthenticationFailure = function (/** @type {string} */ _reason) {
    window.location.assign(hub + "/sign_in?AUTH_RETURN_CANCEL");
  };
})();
