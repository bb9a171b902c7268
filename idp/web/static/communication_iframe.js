// @ts-check
// The silent frame: tells the page that frames it, on the hub's own site, who
// is signed in there. It speaks jschannel (scope mozid_ni, JSON texts) with the
// first origin that answers, and gets certificates by its own request.
//
// On another site the browser hides our cookies and storage from this frame,
// and everyone would appear signed out. There it says nothing at all.

import { certify, getClock, getSession, mayUse } from "./dialog/api.js";
import { checkCertificate, makeBundle } from "./dialog/assertion.js";
import { forgetKey, keyOf } from "./dialog/keys.js";
import { forgetShared, signedOut, site, SITES } from "./dialog/memory.js";

const SCOPE = "mozid_ni::";
const LIFETIME_S = 3600;
const { issuer = "", sameSite } = document.body.dataset;

/** The relying party's origin; "" until it has spoken. */
let party = "";
/** Whether that may use this hub. */
let allowed = false;
/** Whom the site takes to be signed in: null no one, undefined not said. @type {string | null | undefined} */
let user;
/** Whether a dialog is open: its answer comes another way. */
let dialogOpen = false;
/** What is being done, one thing after the other. */
let work = Promise.resolve();

/** @param {object} message @param {string} [origin] */
function post(message, origin = party) {
  window.parent.postMessage(JSON.stringify(message), origin);
}

/** @param {string} method @param {unknown} [params] */
const tell = (method, params) => post({ method: SCOPE + method, params });

/** Whether what we see here is what a window of our own would see. */
async function seesAll() {
  if (sameSite !== "true" || window.parent !== window.top) return false;
  return !document.hasStorageAccess || document.hasStorageAccess();
}

/** The address that this site may know of; null: no one; undefined: that cannot be said. */
async function signedIn() {
  if (!(await seesAll())) return undefined;
  const session = await getSession();
  if (!session.directory_available) return undefined;
  if (!session.signed_in) forgetShared();
  const agreed = site(party);
  if (!agreed?.signed_in) return null;
  if (agreed.issuer !== issuer) return undefined; // another host's session
  if (!session.signed_in || !session.addresses.includes(agreed.email)) return null;
  return { email: agreed.email, shared: session.computer !== "private" };
}

/** @param {string} email @param {boolean} shared */
async function assertion(email, shared) {
  const [key, now] = await Promise.all([keyOf(email), getClock()]);
  const certificate = await certify(email, key.publicKey, LIFETIME_S);
  checkCertificate(certificate, { issuer, email, publicKey: key.publicKey, now: now() });
  if (shared) await forgetKey(email);
  return makeBundle(certificate, key, party, now());
}

/** Tells the site what it does not know yet. @param {boolean} asked whether it waits for a word */
async function look(asked) {
  if (dialogOpen) return;
  const found = await signedIn();
  if (found === undefined) return;
  if (found === null) {
    if (user !== null) tell("logout");
    user = null;
  } else if (found.email === user) {
    if (asked) tell("match");
  } else {
    const bundle = await assertion(found.email, found.shared);
    if (dialogOpen) return;
    user = found.email;
    tell("login", { assertion: bundle, email: user });
  }
}

/** Does something after what is being done; a failure means that nothing is known. @param {() => unknown} action */
function then(action) {
  work = work.then(() => allowed && action()).then(
    () => {},
    () => {},
  );
}

/** @type {Record<string, (params: any, id: any) => void>} */
const methods = {
  loggedInUser(params) {
    user = params?.said === false ? undefined : (params?.user ?? null);
  },
  loaded(_params, id) {
    then(() => look(true));
    then(() => post({ id, result: null }));
  },
  logout() {
    user = null;
    signedOut(party);
  },
  dialog_running() {
    dialogOpen = true;
  },
  dialog_complete(lookNow) {
    dialogOpen = false;
    if (lookNow) then(() => look(false));
  },
};

/** @param {unknown} data @returns {any} */
function parse(data) {
  try {
    return (typeof data === "string" && JSON.parse(data)) || {};
  } catch {
    return {}; // a message of another script
  }
}

/** @param {MessageEvent} event */
function receive(event) {
  if (event.source !== window.parent || (party && event.origin !== party)) return;
  const { method, params, id } = parse(event.data);
  if (typeof method !== "string" || !method.startsWith(SCOPE)) return;
  if (!party) begin(event.origin);
  const action = method.slice(SCOPE.length);
  if (Object.hasOwn(methods, action)) then(() => methods[action](params, id));
}

/** Stays with a site, if it may use this hub. @param {string} origin */
function begin(origin) {
  party = origin;
  work = mayUse(origin).then(
    (may) => void (allowed = may),
    () => {},
  );
}

if (window.parent !== window) {
  window.addEventListener("message", receive);
  // Another tab may end, or begin, what this site knows.
  window.addEventListener("storage", (event) => {
    if (party && event.key === SITES) then(() => look(false));
  });
  post({ method: SCOPE + "__ready", params: "ping" }, "*");
}
