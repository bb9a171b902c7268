// @ts-check
// The dialog: a site asks, the person chooses an address, the identity
// provider certifies the browser's key for it, and the site gets an assertion.

import { settled } from "../press.js";
import { getAddressInfo, getClock, getSession, mayUse } from "./api.js";
import { checkCertificate, makeBundle } from "./assertion.js";
import { Failure } from "./failure.js";
import { forgetKey, keyOf } from "./keys.js";
import { addresses, forgetShared, remember, site } from "./memory.js";
import { checkOptions, isAddress, OptionError } from "./options.js";
import { provision, Refused } from "./provisioning.js";
import { answer, demandPresent, findRelyingParty, refuse } from "./relyingparty.js";
import { element, onAction, show, showAddresses, showSite } from "./screens.js";
import { saveTrip } from "./trip.js";

/** The reason by which providers have always said that the person has to sign in. */
const NOT_AUTHENTICATED = "user is not authenticated as target user";
const PRIVATE_S = 6 * 3600;
const SHARED_S = 3600;

/** The site that asks, once it is known that it may. @type {import("./relyingparty.js").RelyingParty | null} */
let party = null;
/** @type {import("./options.js").Options} */
let options;
/** @type {import("./api.js").Session} */
let session;
/** @type {() => number} */
let now;
/** The address on its way, and its sign-in page. */
let current = { email: "", auth: "" };
/** Whether the person has typed an address: that is never done unawares. */
let typed = false;

/** The identity hosts that this hub serves: origins by name. @type {Map<string, string>} */
const issuers = new Map(
  Array.from(document.querySelectorAll("[data-issuer]"), (item) => {
    const { issuer, origin } = /** @type {HTMLElement} */ (item).dataset;
    return [String(issuer), String(origin)];
  }),
);

/** How the browser came here; the longer one first: it begins like the other. */
function arrival() {
  const { search, hash } = window.location;
  const came = hash.startsWith("#AUTH_RETURN") ? hash : search;
  if (/^[?#]AUTH_RETURN_CANCEL/.test(came)) return "cancelled";
  return /^[?#]AUTH_RETURN/.test(came) ? "signed in" : "";
}

async function start() {
  if (!globalThis.crypto?.subtle) throw new Failure("unsupported");
  const came = arrival();
  const found = await findRelyingParty(came !== "");
  const { origin } = found.party;
  showSite(origin, null);
  if (!(await mayUse(origin))) throw new Failure("not_allowed", { origin });
  party = found.party;
  options = checkOptions(party.params, party.origin);
  showSite(party.origin, options);
  [session, now] = await Promise.all([getSession(), getClock()]);
  if (!session.signed_in) forgetShared();
  const silently = found.email === "" ? agreedAddress() : "";
  if (came === "signed in" && found.email) await confirm(found.email, true);
  else if (silently && came === "") await confirm(silently, false);
  else choose(found.email);
}

/** The address that needs no click: the site asks silently, the person once agreed and is signed in. */
function agreedAddress() {
  const agreed = options.silent && party && site(party.origin);
  if (!agreed || !agreed.signed_in || !session.addresses.includes(agreed.email)) return "";
  return options.email === "" || options.email === agreed.email ? agreed.email : "";
}

/** Offers the known addresses, or asks for one. @param {string} [preferred] */
function choose(preferred = "") {
  if (!party) return;
  const known = [...new Set([...session.addresses, ...addresses()])];
  const wished = [preferred, options.email, site(party.origin)?.email, addresses()[0], known[0]].find(Boolean) ?? "";
  if (known.length === 0) {
    ask(wished);
    return;
  }
  if (!known.includes(wished)) known.unshift(wished);
  showAddresses(known, wished);
  element("address-back").hidden = false;
  show("choose", { site: party.origin.replace(/^https:\/\//, "") });
}

/** Asks for an address. @param {string} [text] @param {boolean} [wrong] */
function ask(text = "", wrong = false) {
  const input = /** @type {HTMLInputElement} */ (element("email"));
  input.value = text;
  typed = false;
  input.setAttribute("aria-invalid", String(wrong));
  element("email-error").hidden = !wrong;
  show("address");
}

/**
 * Has an address confirmed and hands the assertion to the site.
 * @param {string} email
 * @param {boolean} returned whether the person was just at the sign-in page for it
 */
async function confirm(email, returned) {
  if (!party) return;
  current = { email, auth: "" };
  show("working", { email });
  const info = await getAddressInfo(email);
  demandServed(info, email);
  email = info.normalizedEmail;
  current = { email, auth: info.auth };
  const key = keyOf(email);
  key.catch(() => {}); // reported where it is awaited
  let certificate;
  try {
    certificate = await provision({
      page: info.prov,
      email,
      duration: session.computer === "private" ? PRIVATE_S : SHARED_S,
      publicKey: async () => (await key).publicKey,
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    await refused(error.message, info.issuer, returned);
    return;
  }
  const { publicKey } = await key;
  checkCertificate(certificate, { issuer: info.issuer, email, publicKey, now: now() });
  await deliver(email, info.issuer, await makeBundle(certificate, await key, party.origin, now()));
}

/** @param {import("./api.js").AddressInfo} info @param {string} email */
function demandServed(info, email) {
  const slots = { email, domain: email.slice(email.lastIndexOf("@") + 1), issuer: info.issuer, reason: info.reason ?? "" };
  if (info.type !== "primary") throw new Failure(info.disabled ? "disabled" : info.state === "offline" ? "offline" : "no_provider", slots);
  const origin = issuers.get(info.issuer);
  if (!origin || new URL(info.prov).origin !== origin || new URL(info.auth).origin !== origin) throw new Failure("foreign", slots);
}

/** The provider gave no certificate. @param {string} reason @param {string} issuer @param {boolean} returned */
async function refused(reason, issuer, returned) {
  const { email } = current;
  session = await getSession();
  if (!session.directory_available) throw new Failure("directory", { issuer, email });
  if (reason !== NOT_AUTHENTICATED) throw new Failure("refused", { issuer, email, reason });
  if (!returned) signIn();
  else if (issuers.get(issuer) === window.location.origin && session.signed_in) throw new Failure("not_yours", { issuer, email });
  else throw new Failure("cookies", { issuer, email });
}

/** Goes to the sign-in page for the current address. */
function signIn() {
  if (!party) return;
  saveTrip(party, current.email);
  window.location.assign(current.auth + "?email=" + encodeURIComponent(current.email));
}

/** @param {string} email @param {string} issuer @param {string} bundle */
async function deliver(email, issuer, bundle) {
  if (!party) return;
  session = await getSession();
  // Who uses this computer is known of our own session only: of a sister host's no address is kept,
  // and the site only so that the silent frame knows that it cannot judge.
  const own = issuers.get(issuer) === window.location.origin;
  const shared = session.computer !== "private";
  if (shared) await forgetKey(email);
  await demandPresent(party);
  remember(party.origin, { email, issuer, shared: own && shared }, own && !shared);
  show("done", { origin: party.origin });
  answer(party, bundle, email);
}

/** Shows why it went wrong. @param {unknown} error */
function fail(error) {
  if (error instanceof OptionError) show("options", { reason: error.message });
  else if (error instanceof Failure) show(error.screen, error.slots);
  else {
    show("fault", { reason: String(/** @type {any} */ (error)?.name ?? error) });
    console.error(error);
  }
}

/** @param {() => void} action */
function attempt(action) {
  try {
    action();
  } catch (error) {
    fail(error);
  }
}

/** @param {string} email @param {boolean} [returned] */
const begin = (email, returned = false) => void confirm(email, returned).catch(fail);

element("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!settled()) return;
  const chosen = new FormData(/** @type {HTMLFormElement} */ (event.target)).get("address");
  if (typeof chosen === "string") begin(chosen);
});
element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = /** @type {HTMLInputElement} */ (element("email")).value.trim();
  if (!isAddress(text)) ask(text, true);
  else if (typed || settled()) begin(text.toLowerCase());
});
element("email").addEventListener("input", () => (typed = true));
onAction("cancel", () => refuse(party));
onAction("other", () => ask());
onAction("back", () => choose());
onAction("retry", () => begin(current.email));
onAction("sign-in", () => attempt(signIn));
onAction("reload", () => attempt(() => {
  if (party?.mode === "redirect") saveTrip(party, "");
  window.location.reload();
}));

show("loading");
start().catch(fail);
