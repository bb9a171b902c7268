// @ts-check
// What the dialog keeps while its window is at the sign-in page: for which
// site, and for which address. It lies in the window's own sessionStorage, is
// read once, and is worth nothing after half an hour.

import { Failure } from "./failure.js";

const KEY = "persona.trip";
const LONGEST_MS = 30 * 60 * 1000;

/** @typedef {{party: import("./relyingparty.js").RelyingParty, email: string, at: number}} Trip */

/** @param {import("./relyingparty.js").RelyingParty} party @param {string} email */
export function saveTrip(party, email) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ party, email, at: Date.now() }));
  } catch {
    throw new Failure("storage");
  }
}

/** @returns {Trip | null} */
export function loadTrip() {
  try {
    const trip = JSON.parse(String(sessionStorage.getItem(KEY)));
    sessionStorage.removeItem(KEY);
    const age = Date.now() - trip.at;
    return age >= 0 && age < LONGEST_MS ? trip : null;
  } catch {
    return null; // there is none, or storage is blocked
  }
}
