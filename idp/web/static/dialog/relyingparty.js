// @ts-check
// The site that asks: who it is, and the way of the answer back to it. A popup
// has the page that opened it; where popups are blocked the site's page itself
// came here, with its request in the fragment.

import { Failure } from "./failure.js";
import { answerOpener, askOpener, refuseOpener } from "./opener.js";
import { loadTrip } from "./trip.js";

const PATIENCE_MS = 8000;
const STILL_THERE_MS = 3000;

/**
 * @typedef {object} RelyingParty
 * @property {"popup" | "redirect"} mode
 * @property {string} origin pinned: the answer goes to it alone
 * @property {string} nonce
 * @property {Record<string, unknown>} params the site's options, unchecked
 */

/** The origin of the page that led here, "" where the browser does not tell. */
function cameFrom() {
  return URL.canParse(document.referrer) ? new URL(document.referrer).origin : "";
}

/**
 * Takes the request out of the fragment. Any page can write one, in the name of
 * any site, so the page that led here must be of the site that gets the answer:
 * the answer's fragment would outlive a redirect of that site to somewhere else.
 * @returns {RelyingParty | null}
 */
function inFragment() {
  const { hash, pathname } = window.location;
  if (!hash.startsWith("#request=")) return null;
  window.history.replaceState(null, "", pathname);
  let params;
  let origin = "null";
  try {
    params = JSON.parse(decodeURIComponent(hash.slice("#request=".length)));
    ({ origin } = new URL(params.returnTo));
  } catch {
    // It is nothing of include.js.
  }
  if (typeof params?.state !== "string" || params.state === "" || origin === "null") {
    throw new Failure("options", { reason: "the request in the address of this page cannot be read" });
  }
  const other = cameFrom();
  if (other !== origin) throw new Failure("claimed", { origin, other: other || "a site that your browser does not name" });
  return { mode: "redirect", origin, nonce: params.state, params };
}

/**
 * Finds the site that asks.
 * @param {boolean} returning whether the browser comes back from a sign-in page
 * @returns {Promise<{party: RelyingParty, email: string}>} email: for whom it left, "" if it did not
 */
export async function findRelyingParty(returning) {
  const fresh = inFragment();
  if (fresh) return { party: fresh, email: "" };
  const opener = /** @type {Window | null} */ (window.opener);
  const trip = returning || !opener ? loadTrip() : null;
  if (trip?.party.mode === "redirect") return { party: trip.party, email: returning ? trip.email : "" };
  const request = opener && (await askOpener(opener, PATIENCE_MS));
  if (!request) throw new Failure("opener", { origin: trip?.party.origin ?? "the site that you came from" });
  if (trip) demandSame(trip.party, request);
  return { party: { mode: "popup", ...request }, email: trip?.email ?? "" };
}

/** @param {RelyingParty} party @param {import("./opener.js").Request} request */
function demandSame(party, request) {
  if (request.origin === party.origin && request.nonce === party.nonce) return;
  throw new Failure("claimed", { origin: party.origin, other: request.origin });
}

/** Demands that the page which asked is still there to get the answer. @param {RelyingParty} party */
export async function demandPresent(party) {
  if (party.mode === "redirect") return;
  const request = window.opener && (await askOpener(window.opener, STILL_THERE_MS));
  if (!request) throw new Failure("opener", { origin: party.origin });
  demandSame(party, request);
}

/**
 * Hands the answer to the site and ends the dialog.
 * @param {RelyingParty} party @param {string} assertion @param {string} email
 */
export function answer(party, assertion, email) {
  if (party.mode === "redirect") {
    goBack(party, { persona_assertion: assertion, persona_email: email });
    return;
  }
  if (window.opener) answerOpener(window.opener, party.origin, { assertion, email, nonce: party.nonce });
  window.close();
}

/** Ends the dialog without an answer. @param {RelyingParty | null} party */
export function refuse(party) {
  if (party?.mode === "redirect") {
    goBack(party, {});
    return;
  }
  if (party && window.opener) refuseOpener(window.opener, party.origin);
  if (window.opener) window.close();
  else window.history.back(); // a window that no script has opened cannot be closed
}

/** @param {RelyingParty} party @param {Record<string, string>} fields */
function goBack(party, fields) {
  const to = new URL(String(party.params.returnTo));
  to.hash = new URLSearchParams({ persona_state: party.nonce, ...fields }).toString();
  window.location.replace(to);
}
