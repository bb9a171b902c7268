// @ts-check
// What this browser remembers of earlier sign-ins: the addresses used, and for
// each site the address that the person agreed to show it. On a shared
// computer a site is remembered only until the session ends, and no address is.

const ADDRESSES = "persona.addresses";
export const SITES = "persona.sites";

/** @typedef {{email: string, issuer: string, signed_in: boolean, shared: boolean}} Site issuer is the identity host */

/** @param {string} name @param {any} otherwise @returns {any} */
function read(name, otherwise) {
  try {
    const value = JSON.parse(String(localStorage.getItem(name)));
    return typeof value === "object" && value !== null && Array.isArray(value) === Array.isArray(otherwise) ? value : otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {any} value */
function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Storage is blocked or full: the person types the address the next time.
  }
}

/** The addresses used in this browser, the last one first. @returns {string[]} */
export const addresses = () => read(ADDRESSES, []).filter((/** @type {unknown} */ email) => typeof email === "string");

/** @param {string} origin @returns {Site | null} */
export function site(origin) {
  const sites = read(SITES, {});
  return Object.hasOwn(sites, origin) ? sites[origin] : null;
}

/** @param {(sites: Record<string, Site>) => void} edit */
function editSites(edit) {
  const sites = read(SITES, {});
  const before = JSON.stringify(sites);
  edit(sites);
  if (JSON.stringify(sites) !== before) write(SITES, sites);
}

/**
 * The person has signed in to a site.
 * @param {string} origin @param {Omit<Site, "signed_in">} how
 * @param {boolean} offered whether the address is offered the next time
 */
export function remember(origin, how, offered) {
  editSites((sites) => {
    sites[origin] = { ...how, signed_in: true };
  });
  const others = addresses().filter((other) => other !== how.email);
  write(ADDRESSES, offered ? [how.email, ...others].slice(0, 20) : others);
}

/** The person has signed out of a site. @param {string} origin */
export function signedOut(origin) {
  editSites((sites) => {
    if (Object.hasOwn(sites, origin)) sites[origin].signed_in = false;
  });
}

/** Forgets what was remembered on a shared computer: its session has ended. */
export function forgetShared() {
  editSites((sites) => {
    for (const origin of Object.keys(sites)) if (sites[origin].shared) delete sites[origin];
  });
}
