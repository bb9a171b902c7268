// @ts-check
// The checks of what a site may ask for. A fault names the option, so that
// the site's developer can fix it.

/** A fault of a site's options, in words for its developer. */
export class OptionError extends Error {}

/**
 * @typedef {object} Options checked; "" where the site said nothing
 * @property {string} siteName
 * @property {string} siteLogo https: or data: URL
 * @property {string} termsOfService http(s) URL
 * @property {string} privacyPolicy http(s) URL
 * @property {string} backgroundColor six hex digits
 * @property {string} email
 * @property {boolean} silent
 */

const ADDRESS = /^[\w.!#$%&'*+\-/=?^`{|}~]+@[a-z\d-]+(\.[a-z\d-]+)+$/i;
const LOGO_DATA = /^data:image\/(png|gif|jpg|jpeg|svg\+xml);base64,[A-Za-z\d+/]+=*$/;
const LONGEST_LOGO = 128 * 1024;

/** @param {boolean} holds @param {string} words */
function demand(holds, words) {
  if (!holds) throw new OptionError(words);
}

/** @param {string} text @returns {boolean} whether it can be an address */
export function isAddress(text) {
  const at = text.lastIndexOf("@");
  return ADDRESS.test(text) && text.length <= 254 && at <= 64 && text.length - at - 1 <= 253;
}

/**
 * An address on the web, absolute or from the site's root.
 * @param {string} text @param {string} origin @param {string} name
 */
function webAddress(text, origin, name) {
  demand(/^(https?:\/\/|\/)/i.test(text), name + ": relative urls not allowed: (" + text.slice(0, 80) + ")");
  demand(URL.canParse(text, origin), name + ": not a valid URL");
  const url = new URL(text, origin);
  demand(url.protocol === "https:" || url.protocol === "http:", name + ": must be an http or https URL");
  demand(url.href.length <= 2083, name + ": longer than 2083 characters");
  demand(url.pathname.length <= 2048, name + ": its path is longer than 2048 characters");
  return url;
}

/** @type {Record<string, (value: any, origin: string) => unknown>} */
const checks = {
  siteName(value) {
    demand(typeof value === "string", "siteName: must be a string");
    return value.slice(0, 100);
  },
  siteLogo(value, origin) {
    demand(typeof value === "string", "siteLogo: must be a string");
    if (value.startsWith("data:")) {
      demand(value.length <= LONGEST_LOGO, "siteLogo: a data URL may have 128 KiB at most");
      demand(LOGO_DATA.test(value), "siteLogo: a data URL must be a png, gif, jpg, jpeg or svg+xml image in base64");
      return value;
    }
    const url = webAddress(value, origin, "siteLogo");
    demand(url.protocol === "https:", "siteLogos can only be served from https and data schemes.");
    return url.href;
  },
  termsOfService(value, origin) {
    demand(typeof value === "string", "termsOfService: must be a string");
    return webAddress(value, origin, "termsOfService").href;
  },
  privacyPolicy(value, origin) {
    demand(typeof value === "string", "privacyPolicy: must be a string");
    return webAddress(value, origin, "privacyPolicy").href;
  },
  returnTo(value, origin) {
    demand(typeof value === "string", "returnTo: must be a string");
    const path = value.startsWith(origin + "/") ? value.slice(origin.length) : value;
    demand(/^\/(?![/\\])/.test(path) && URL.canParse(path, origin) && new URL(path, origin).origin === origin,
      "returnTo: must be an absolute path on the site's own origin");
    return new URL(path, origin).href;
  },
  backgroundColor(value) {
    const found = typeof value === "string" && /^#?([\da-f]{3}|[\da-f]{6})$/i.exec(value);
    demand(!!found, "backgroundColor: must have 3 or 6 hex digits");
    const digits = /** @type {RegExpExecArray} */ (found)[1].toLowerCase();
    return digits.length === 6 ? digits : digits.replace(/./g, "$&$&");
  },
  email(value) {
    demand(typeof value === "string" && isAddress(value), "email: must be an e-mail address");
    return value.toLowerCase();
  },
  silent(value) {
    demand(typeof value === "boolean", "silent: must be true or false");
    return value;
  },
  start_time(value) {
    demand(Number.isSafeInteger(typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value), "start_time: must be an integer");
  },
  experimental_allowUnverified(value) {
    demand(typeof value === "boolean", "experimental_allowUnverified: must be true or false");
  },
  experimental_forceAuthentication(value) {
    demand(typeof value === "boolean", "experimental_forceAuthentication: must be true or false");
    demand(!value, "experimental_forceAuthentication: this hub cannot demand a new sign-in");
  },
  experimental_forceIssuer(value) {
    demand(typeof value === "string" && URL.canParse("http://" + value) && new URL("http://" + value).host === value,
      "experimental_forceIssuer: must be a host name");
  },
};

/**
 * Checks the options of a site. Unknown ones are ignored, and so are empty ones of any kind, as login.persona.org did:
 * sites in use send siteLogo: "". The issuer that Firefox OS could choose is ignored, too: the authority certifies.
 * @param {Record<string, unknown>} given
 * @param {string} origin of the site
 * @returns {Options}
 */
export function checkOptions(given, origin) {
  /** @type {any} */
  const checked = {
    siteName: "", siteLogo: "", termsOfService: "", privacyPolicy: "", backgroundColor: "", email: "", silent: false,
  };
  for (const name of Object.keys(checks)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value) checked[name] = checks[name](value, origin);
  }
  return checked;
}
