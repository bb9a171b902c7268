// @ts-check
// Base64url without padding, and the numbers of keys.

/** @param {ArrayBuffer | Uint8Array} bytes @returns {string} */
export function base64URL(bytes) {
  const text = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** @param {string} text @returns {string} its UTF-8 bytes in base64url */
export const base64URLText = (text) => base64URL(new TextEncoder().encode(text));

/** @param {string} text base64url @returns {Uint8Array} */
export function bytesOf(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

/** @param {string} text base64url of a big-endian number @returns {string} decimal, as BrowserID writes RSA numbers */
export function decimal(text) {
  const hex = Array.from(bytesOf(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return BigInt("0x0" + hex).toString();
}
