// @ts-check
// The browser's key pairs: one for each address, of RSA, made so that not even
// this page can read the private half. They lie in IndexedDB; where there is
// none, a key lives as long as the page, and the next sign-in makes another.

import { base64URL, decimal } from "./encoding.js";
import { load, remove, store } from "./database.js";

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const LIFETIME_MS = 30 * 24 * 3600 * 1000;

/**
 * @typedef {{pair: CryptoKeyPair, created: number}} Kept
 * @typedef {{publicKey: string, sign: (text: string) => Promise<string>}} Key publicKey is JSON text; sign gives base64url
 */

/** @param {unknown} kept @returns {kept is Kept} */
function usable(kept) {
  if (typeof kept !== "object" || kept === null) return false;
  const { pair, created } = /** @type {Kept} */ (kept);
  const age = Date.now() - created;
  return pair?.privateKey instanceof CryptoKey && !pair.privateKey.extractable && age >= 0 && age < LIFETIME_MS;
}

/** @returns {Promise<CryptoKeyPair>} */
function generate() {
  const parameters = { ...RSA, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  return /** @type {Promise<CryptoKeyPair>} */ (crypto.subtle.generateKey(parameters, false, ["sign", "verify"]));
}

/** The key pair of an address. @param {string} email @returns {Promise<Key>} */
export async function keyOf(email) {
  const kept = await load(email);
  const pair = usable(kept) ? kept.pair : await generate();
  if (!usable(kept)) await store(email, { pair, created: Date.now() });
  const { n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  return {
    publicKey: JSON.stringify({ algorithm: "RS", n: decimal(String(n)), e: decimal(String(e)) }),
    sign: async (text) => base64URL(await crypto.subtle.sign(RSA, pair.privateKey, new TextEncoder().encode(text))),
  };
}

/** Forgets the key of an address. @param {string} email */
export const forgetKey = (email) => remove(email);
