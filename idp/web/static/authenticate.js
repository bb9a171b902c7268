// @ts-check
// The module of the authentication page. The server decides what the page
// says; this module returns to the hub, where the page says so. Without it the
// links go to the host's own hub.

import "./press.js";
import "./waits.js";

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

if (document.querySelector("[data-blocked]") && !id._hubWaits) window.location.replace("/persona/"); // no hub, nothing blocked

if (document.querySelector("[data-complete]")) {
  // Going back must lead to a page that explains, not straight to the hub again.
  const address = new URL(window.location.href);
  address.searchParams.delete("signed_in");
  window.history.replaceState(null, "", address);
  id.completeAuthentication();
}
