// @ts-check
// The module of the authentication page. The server decides what the page
// says; this module returns to the hub, where the page says so, keeps the form
// from being sent twice and shows that it waits. Without it the links go to the
// host's own hub.

import "./press.js";

const id = /** @type {any} */ (window.navigator).id;

/** @param {string} selector @param {() => void} action */
function onClick(selector, action) {
  for (const element of document.querySelectorAll(selector)) {
    element.addEventListener("click", (event) => {
      event.preventDefault();
      action();
    });
  }
}

onClick("[data-hub=return]", () => id.completeAuthentication());
onClick("[data-hub=cancel]", () => id.raiseAuthenticationFailure("user cancelled authentication"));

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("#sign-in"));
const submit = /** @type {HTMLButtonElement | null} */ (document.querySelector("#submit"));
const progress = /** @type {HTMLElement | null} */ (document.querySelector("#progress"));
if (form && submit && progress) {
  const SOON_MS = 400;
  const SLOW_MS = 4000;
  const label = submit.textContent;
  /** @type {number[]} */
  let timers = [];
  /** The button is never disabled: that would take the focus from it. @param {boolean} busy @param {string} words */
  const wait = (busy, words) => {
    timers.forEach(clearTimeout);
    timers = [];
    form.toggleAttribute("data-busy", busy);
    submit.setAttribute("aria-disabled", String(busy));
    submit.textContent = busy ? String(progress.dataset.waiting) : label;
    progress.textContent = words;
  };
  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("data-busy")) {
      event.preventDefault();
      return;
    }
    wait(true, "");
    for (const [after, words] of [[SOON_MS, progress.dataset.waiting], [SLOW_MS, progress.dataset.slow]]) {
      timers.push(window.setTimeout(() => (progress.textContent = String(words)), Number(after)));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !form.hasAttribute("data-busy")) return;
    window.stop();
    wait(false, String(progress.dataset.stopped));
  });
  // A page that comes back from the browser's memory must be usable again.
  window.addEventListener("pageshow", () => wait(false, ""));
}

if (document.querySelector("[data-complete]")) {
  // Going back must lead to a page that explains, not straight to the hub again.
  const address = new URL(window.location.href);
  address.searchParams.delete("signed_in");
  window.history.replaceState(null, "", address);
  id.completeAuthentication();
}
