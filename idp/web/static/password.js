// @ts-check
// The module of the page on which people change their password: it says at once when the new one was not typed twice the
// same. The server says so, too.

import "./press.js";
import "./waits.js";

const changed = /** @type {HTMLInputElement | null} */ (document.querySelector("#new"));
const again = /** @type {HTMLInputElement | null} */ (document.querySelector("#again"));
if (changed && again) {
  const compare = () => again.setCustomValidity(again.value && again.value !== changed.value ? String(again.dataset.differs) : "");
  for (const field of [changed, again]) field.addEventListener("input", compare);
}
