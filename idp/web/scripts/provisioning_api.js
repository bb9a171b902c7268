// @ts-check
// The provisioning side of navigator.id, for the page that the support
// document names as "provisioning". A hub frames that page invisibly; this
// script speaks jschannel (scope vep_prov, JSON strings) with the hub.
//
// It answers only the hubs below, checks source and origin of every
// message, stays with the first hub that speaks, and falls silent once the
// page has registered a certificate or raised a failure.
(function () {
  "use strict";

  /** Base URLs of the hubs, written by the server from its configuration. */
  const hubs = JSON.parse('HUBS');

  const nav = /** @type {any} */ (window.navigator);
  if (nav.id && nav.id.beginProvisioning && !nav.id._primaryAPIIsShimmed) return;
  const id = nav.id || (nav.id = {});
  id._primaryAPIIsShimmed = true;

  const scope = "vep_prov::";
  const origins = hubs.map((/** @type {string} */ hub) => new URL(hub).origin);
  const parent = window.parent;

  /** The origin of the hub that spoke first; null before that. @type {string | null} */
  let hub = null;
  let completed = false;
  /** Messages that wait for the hub. @type {object[]} */
  let queue = [];
  /** Callbacks of unanswered calls, by message id. @type {Map<number, (result: any) => void>} */
  const calls = new Map();
  let nextId = Math.floor(Math.random() * 1000001);

  /** @param {object} message @param {string} origin */
  function post(message, origin) {
    parent.postMessage(JSON.stringify(message), origin);
  }

  /** @param {object} message */
  function send(message) {
    if (hub === null) queue.push(message);
    else post(message, hub);
  }

  /** @param {string} method @param {(result: any) => void} callback */
  function call(method, callback) {
    if (completed) return;
    calls.set(nextId, callback);
    send({ id: nextId++, method: scope + method });
  }

  /** @param {string} method @param {unknown} params */
  function complete(method, params) {
    if (completed) return;
    completed = true;
    calls.clear();
    send({ method: scope + method, params: String(params) });
  }

  /** @param {unknown} data @returns {any} */
  function parse(data) {
    if (typeof data !== "string") return null;
    try {
      return JSON.parse(data);
    } catch {
      return null; // a message of another script
    }
  }

  /** @param {string} origin @param {unknown} params */
  function ready(origin, params) {
    if (hub !== null || (params !== "ping" && params !== "pong")) return;
    hub = origin;
    if (params === "ping") post({ method: scope + "__ready", params: "pong" }, hub);
    for (const message of queue) post(message, hub);
    queue = [];
  }

  /** @param {any} message */
  function reply(message) {
    const callback = calls.get(message.id);
    if (!callback) return;
    calls.delete(message.id);
    if (!("error" in message)) callback(message.result);
  }

  window.addEventListener("message", (event) => {
    if (parent === window || event.source !== parent) return;
    if (hub === null ? !origins.includes(event.origin) : event.origin !== hub) return;
    const message = parse(event.data);
    if (typeof message !== "object" || message === null) return;
    if (message.method === scope + "__ready") ready(event.origin, message.params);
    else if (hub !== null && message.method === undefined) reply(message);
  });

  /** @param {unknown} callback @param {string} name */
  function demandFunction(callback, name) {
    if (typeof callback !== "function") throw new Error("." + name + "() requires a callback argument");
  }

  /** Learns which address to certify, and for how many seconds. */
  id.beginProvisioning = function (/** @type {(email: string, seconds: number) => void} */ callback) {
    demandFunction(callback, "beginProvisioning");
    call("beginProvisioning", (result) => {
      if (result && typeof result === "object") callback(result.email, result.cert_duration_s);
    });
  };

  /** Has the hub make a key pair; the callback gets the public key as JSON text. */
  id.genKeyPair = function (/** @type {(publicKey: string) => void} */ callback) {
    demandFunction(callback, "genKeyPair");
    call("genKeyPair", callback);
  };

  /** Hands the certificate to the hub. Nothing is sent after it. */
  id.registerCertificate = function (/** @type {string} */ certificate) {
    complete("registerCertificate", certificate);
  };

  /** Tells the hub that there will be no certificate. Nothing is sent after it. */
  id.raiseProvisioningFailure = function (/** @type {string} */ reason) {
    complete("raiseProvisioningFailure", reason);
  };

  if (parent !== window) {
    for (const origin of new Set(origins)) post({ method: scope + "__ready", params: "ping" }, origin);
  }
})();
