// @ts-check
// The authentication side of navigator.id, for the page that the support
// document names as "authentication". A hub sends its popup to that page with
// the address in the query; completeAuthentication and
// raiseAuthenticationFailure send the popup back.
//
// The hub to return to is the one that the popup came from, if the
// configuration lists it. It is remembered in the popup's sessionStorage, because
// signing in loads several pages. Where none is known, and the dialog of this host
// keeps nothing for its return either, no hub waits: the person followed a link, and
// ends at their account page.
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

  /** Whether this host's dialog (static/dialog/trip.js) has left this window for a sign-in. */
  function dialogWaits() {
    try {
      return window.sessionStorage.getItem("persona.trip") !== null;
    } catch {
      return false; // storage is blocked, and the dialog does not go without it
    }
  }

  const arrivedFrom = hubOf(document.referrer);
  const hub = arrivedFrom || remembered() || (dialogWaits() ? hubs[0] : null);
  if (arrivedFrom) {
    try {
      window.sessionStorage.setItem(storageKey, arrivedFrom);
    } catch {
      // Storage is blocked: after the form is sent no hub is known.
    }
  }

  /** Learns the address that the hub asked for: untrusted text, only to be shown. */
  id.beginAuthentication = function (/** @type {(email: string) => void} */ callback) {
    if (typeof callback !== "function") throw new Error(".beginAuthentication() requires a callback argument");
    const email = new URLSearchParams(window.location.search).get("email") || "";
    setTimeout(() => callback(email), 0);
  };

  /** @param {string} how */
  function leave(how) {
    window.location.assign(hub === null ? hubs[0] + "/" : hub + "/sign_in?" + how);
  }

  /** Whether a hub waits for the person. */
  id._hubWaits = hub !== null;

  /** Returns to the hub after a sign-in. */
  id.completeAuthentication = function () {
    leave("AUTH_RETURN");
  };

  /** Returns to the hub without a sign-in. The reason is not passed on. */
  id.raiseAuthenticationFailure = function (/** @type {string} */ _reason) {
    leave("AUTH_RETURN_CANCEL");
  };
})();
