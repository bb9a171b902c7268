// @ts-check
// Keeps a form that asks the directory from being sent twice, and shows that it waits.

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-waits]"));
const submit = /** @type {HTMLButtonElement | null} */ (document.querySelector("#submit"));
const progress = /** @type {HTMLElement | null} */ (document.querySelector("#progress"));
if (form && submit && progress) {
  // This page may be what a form was answered with: coming back to it must not ask whether to send that again.
  window.history.replaceState(null, "", window.location.href);
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
