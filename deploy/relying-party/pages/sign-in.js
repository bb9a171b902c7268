// Gets an assertion from persona (include.js, loaded before this script) and posts it, in a form
// with this site's own token, to this site's server, which has it verified.
"use strict";

const form = document.querySelector("#sign-in");
const say = (words) => { document.querySelector("#status").textContent = words; };

if (navigator.id) {
  navigator.id.watch({
    onlogin(assertion) {
      form.elements.assertion.value = assertion;
      form.submit(); // without another submit event
    },
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!navigator.id) {
    say("The sign-in script did not load. Is persona reachable, and does this browser trust its certificate?");
    return;
  }
  say("");
  // In the click itself, or the browser blocks the window.
  navigator.id.request({ siteName: document.title, oncancel: () => say("You were not signed in.") });
});
