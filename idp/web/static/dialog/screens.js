// @ts-check
// The screens of the dialog. Each is a section of the page with its words; a
// data-slot element in it gets a text, and a data-action button an action.

import { quiet, settled } from "../press.js";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export const element = (id) => /** @type {T} */ (document.getElementById(id));

const sections = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-screen]"));

/**
 * Shows one screen and hides all others.
 * @param {string} name
 * @param {Record<string, string>} [slots]
 */
export function show(name, slots = {}) {
  for (const section of sections) {
    section.hidden = section.dataset.screen !== name;
    if (section.hidden) continue;
    for (const slot of /** @type {NodeListOf<HTMLElement>} */ (section.querySelectorAll("[data-slot]"))) {
      const text = slots[String(slot.dataset.slot)];
      if (text !== undefined) slot.textContent = text;
    }
    const first = /** @type {HTMLElement | null} */ (section.querySelector("[data-first]:not([hidden])") ?? section.querySelector("h1"));
    first?.focus();
    document.title = String(section.querySelector("h1")?.textContent).trim() + document.title.replace(/^.*?(?= · )/, "");
  }
  document.body.dataset.shown = name;
  quiet();
}

/** The name of the screen that is shown. */
export const shown = () => String(document.body.dataset.shown);

// Escape is the screen's own way out.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  const button = /** @type {HTMLElement | null} */ (document.querySelector("[data-screen]:not([hidden]) [data-action=cancel]"));
  button?.click();
});

/** Does something whenever a button of an action is used. @param {string} name @param {() => void} action */
export function onAction(name, action) {
  for (const button of document.querySelectorAll(`[data-action="${name}"]`)) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      if (button.hasAttribute("data-guarded") && !settled()) return;
      action();
    });
  }
}

/**
 * Shows the site that asks: its origin, which is certain, and what it says of
 * itself, which is text and one image.
 * @param {string} origin
 * @param {import("./options.js").Options | null} options
 */
export function showSite(origin, options) {
  element("site").hidden = false;
  element("site-origin").textContent = origin.replace(/^https:\/\//, "");
  const name = options?.siteName.trim() ?? "";
  element("site-name").hidden = name === "";
  element("site-name").textContent = name;
  if (!options) return;
  const logo = /** @type {HTMLImageElement} */ (element("site-logo"));
  logo.addEventListener("load", () => (logo.hidden = false));
  if (options.siteLogo) logo.src = options.siteLogo;
  if (options.backgroundColor) element("site").style.setProperty("--site", "#" + options.backgroundColor);
  element("terms").hidden = !(options.termsOfService && options.privacyPolicy);
  if (options.termsOfService) /** @type {HTMLAnchorElement} */ (element("terms-link")).href = options.termsOfService;
  if (options.privacyPolicy) /** @type {HTMLAnchorElement} */ (element("privacy-link")).href = options.privacyPolicy;
}

/**
 * Fills the list of addresses to choose from.
 * @param {string[]} emails
 * @param {string} chosen
 */
export function showAddresses(emails, chosen) {
  const template = /** @type {HTMLTemplateElement} */ (element("address-choice"));
  const button = element("sign-in");
  const one = emails.length === 1;
  element("addresses-set").hidden = one;
  button.textContent = one ? button.dataset.as + " " + emails[0] : String(button.dataset.as).split(" ")[0];
  element("addresses").replaceChildren(
    ...emails.map((email) => {
      const choice = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
      const input = /** @type {HTMLInputElement} */ (choice.querySelector("input"));
      input.value = email;
      input.checked = email === chosen;
      /** @type {HTMLElement} */ (choice.querySelector("span")).textContent = email;
      return choice;
    }),
  );
}
