// @ts-check
// The module of the authentication page. The server decides what the page
// says; this module returns to the hub, where the page says so, and keeps the
// form from being sent twice. Without it the links go to the host's own hub.

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
if (form && submit) {
  form.addEventListener("submit", () => {
    submit.disabled = true;
    form.setAttribute("aria-busy", "true");
  });
  // A page that comes back from the browser's memory must be usable again.
  window.addEventListener("pageshow", () => {
    submit.disabled = false;
    form.removeAttribute("aria-busy");
  });
}

if (document.querySelector("[data-complete]")) {
  // Going back must lead to a page that explains, not straight to the hub again.
  const address = new URL(window.location.href);
  address.searchParams.delete("signed_in");
  window.history.replaceState(null, "", address);
  id.completeAuthentication();
}
