// @ts-check
// What the dialog and the silent frame ask the server.

import { Failure } from "./failure.js";

const DEADLINE_MS = 20000; // looking at another domain may take eight seconds

/** The errors after which the same is asked again, a little later. */
const BUSY = ["too_busy", "too_many_lookups"];

/**
 * @typedef {{signed_in: boolean, directory_available: boolean, addresses: string[], computer?: "private" | "shared"}} Session
 * @typedef {{type: string, issuer: string, auth: string, prov: string, disabled: boolean, state: string, normalizedEmail: string, reason?: string}} AddressInfo
 */

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function getJSON(path, options) {
  let response;
  let answer;
  try {
    response = await fetch(path, {
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...options,
    });
    answer = await response.json();
  } catch {
    throw new Failure("server", { reason: "no answer came" });
  }
  if (response.ok) return answer;
  const message = String(answer.message || answer.reason || response.status);
  if (BUSY.includes(answer.error)) throw new Failure("busy", { reason: message });
  throw new Failure("server", { reason: message.replace(/\.$/, "") });
}

/** Who is signed in here. @returns {Promise<Session>} */
export const getSession = () => getJSON("/persona/api/session");

/** @param {string} email @returns {Promise<AddressInfo>} */
export const getAddressInfo = (email) => getJSON("/persona/wsapi/address_info?email=" + encodeURIComponent(email));

/** Whether a site may use this hub. @param {string} origin @returns {Promise<boolean>} */
export async function mayUse(origin) {
  const answer = await getJSON("/persona/wsapi/relying_party?origin=" + encodeURIComponent(origin));
  return answer.allowed === true;
}

/**
 * The server's time, in milliseconds, whatever the clock of this computer says.
 * @returns {Promise<() => number>}
 */
export async function getClock() {
  const context = await getJSON("/persona/wsapi/session_context");
  const difference = context.server_time - performance.now();
  return () => Math.floor(difference + performance.now());
}

/**
 * Has a key certified by this very host.
 * @param {string} email
 * @param {string} publicKey JSON text
 * @param {number} duration seconds
 * @returns {Promise<string>} the certificate
 */
export async function certify(email, publicKey, duration) {
  const answer = await getJSON("/persona/api/certificate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, public_key: publicKey, duration }),
  });
  return answer.certificate;
}
