// @ts-check
// The channel to the page that opened the dialog: JSON texts by postMessage,
// {"a":"ready"} to the opener, {"a":"request","d":{…}} back. Who asks is
// known by the event's origin and by nothing else.

/** @typedef {{origin: string, params: Record<string, unknown>, nonce: string}} Request */

const AGAIN_MS = 1000;

/** @param {unknown} data @returns {any} */
function parse(data) {
  try {
    return (typeof data === "string" && JSON.parse(data)) || {};
  } catch {
    return {}; // a message of another script
  }
}

/** @param {MessageEvent} event @returns {Request | null} */
function requestIn(event) {
  const { a, d } = parse(event.data);
  const params = d?.params;
  if (a !== "request" || d?.method !== "get" || typeof params !== "object" || params === null || Array.isArray(params)) return null;
  return { origin: event.origin, params, nonce: typeof params.nonce === "string" ? params.nonce : "" };
}

/**
 * Says that the dialog is ready, and takes the first request; null when none
 * came in time, as from a page that has gone elsewhere.
 * @param {Window} opener
 * @param {number} patience milliseconds
 * @returns {Promise<Request | null>}
 */
export function askOpener(opener, patience) {
  return new Promise((resolve) => {
    const ready = () => opener.postMessage(JSON.stringify({ a: "ready" }), "*");
    /** @param {Request | null} request */
    const end = (request) => {
      window.removeEventListener("message", receive);
      clearInterval(again);
      clearTimeout(deadline);
      resolve(request);
    };
    /** @param {MessageEvent} event */
    const receive = (event) => {
      if (event.source !== opener) return;
      const request = requestIn(event);
      if (request) end(request);
    };
    window.addEventListener("message", receive);
    const again = setInterval(ready, AGAIN_MS);
    const deadline = setTimeout(() => end(null), patience);
    ready();
  });
}

/**
 * Hands the answer to the opener, if it still is the origin that asked.
 * @param {Window} opener @param {string} origin @param {object} answer
 */
export function answerOpener(opener, origin, answer) {
  opener.postMessage(JSON.stringify({ a: "response", d: answer }), origin);
}

/** Tells the opener that there will be no answer. @param {Window} opener @param {string} origin */
export function refuseOpener(opener, origin) {
  opener.postMessage(JSON.stringify({ a: "error", d: "client closed window" }), origin);
}
