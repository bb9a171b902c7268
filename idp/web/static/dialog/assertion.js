// @ts-check
// Certificates as they are handed to us, and the assertions made under them.

import { base64URLText, bytesOf } from "./encoding.js";
import { Failure } from "./failure.js";

const ASSERTION_MS = 2 * 60 * 1000;
const SKEW_MS = 60 * 1000;

/** @param {string} part @returns {any} */
const claims = (part) => JSON.parse(new TextDecoder().decode(bytesOf(part)));

/**
 * Checks that a certificate is what was asked for. The signature is not looked
 * at: that is the relying party's business, and a wrong one does no harm here.
 * @param {string} certificate
 * @param {{issuer: string, email: string, publicKey: string, now: number}} wanted publicKey is JSON text, now in milliseconds
 */
export function checkCertificate(certificate, { issuer, email, publicKey, now }) {
  /** @param {boolean} holds @param {string} reason */
  const demand = (holds, reason) => {
    if (!holds) throw new Failure("certificate", { issuer, email, reason });
  };
  const parts = String(certificate).split(".");
  demand(parts.length === 3 && parts.every((part) => /^[\w-]+$/.test(part)), "it is not a signed text of three parts");
  let found;
  let header;
  try {
    header = claims(parts[0]);
    found = claims(parts[1]);
  } catch {
    // found stays undefined
  }
  demand(typeof found === "object" && found !== null && typeof header?.alg === "string", "it cannot be read");
  demand(found.iss === issuer, "another issuer stands in it");
  demand(String(found.principal?.email).toLowerCase() === email, "another address stands in it");
  const key = JSON.parse(publicKey);
  const theirs = found["public-key"];
  demand(theirs?.algorithm === key.algorithm && theirs.n === key.n && theirs.e === key.e, "another key stands in it");
  demand(Number.isSafeInteger(found.exp) && found.exp > now, "it has expired");
  demand(found.iat === undefined || (Number.isSafeInteger(found.iat) && found.iat <= now + SKEW_MS), "it is not valid yet");
}

/**
 * A certificate with an assertion for a site, good for two minutes.
 * @param {string} certificate
 * @param {import("./keys.js").Key} key
 * @param {string} audience the site's origin
 * @param {number} now milliseconds
 * @returns {Promise<string>}
 */
export async function makeBundle(certificate, key, audience, now) {
  const header = base64URLText(JSON.stringify({ alg: "RS256" }));
  const payload = base64URLText(JSON.stringify({ exp: now + ASSERTION_MS, aud: audience }));
  const signature = await key.sign(header + "." + payload);
  return `${certificate}~${header}.${payload}.${signature}`;
}
