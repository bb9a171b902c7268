// @ts-check
// Which presses count. A page of another author may open ours under the pointer,
// or while the person holds a key that it asked for; the system then repeats that
// key in our window. So no button acts on a repeated key, and a [data-guarded] one
// acts only on a press that began here, once there was time to see what is asked.

const QUIET_MS = 500;
/** Keys come again within this time while they are held. */
const HELD_MS = 1000;
const ACTING = ["Enter", " ", "Escape"];

let quietUntil = 0;
let quietTimer = 0;
/** Whether the press that is going on began too early. */
let early = false;
/** When each acting key that is down was last reported. @type {Map<string, number>} */
const down = new Map();

/** Gives the person time: no guarded button listens for a while. */
export function quiet() {
  quietUntil = performance.now() + QUIET_MS;
  guard(true);
  clearTimeout(quietTimer);
  quietTimer = window.setTimeout(() => guard(false), QUIET_MS);
}

/** Draws the buttons that do not listen yet as such. @param {boolean} on */
function guard(on) {
  for (const button of document.querySelectorAll("[data-guarded]")) button.setAttribute("aria-disabled", String(on));
  if (on) say("");
}

/** @param {string} words */
function say(words) {
  const element = document.getElementById("early");
  if (element) element.textContent = words;
}

const calm = () => document.visibilityState === "visible" && performance.now() >= quietUntil;

/**
 * Reports whether the person has had time to see what they press. An earlier click or key is not made up for when the
 * time is over, because a page may have lured it here; the person is asked to press again. What comes without a key or
 * a pointer, as from a screen reader, has only to come late enough.
 */
export function settled() {
  if (calm() && !early) {
    say("");
    return true;
  }
  quiet(); // who presses again and again has to stop first
  say(String(document.getElementById("early")?.dataset.words));
  return false;
}

window.addEventListener("focus", quiet);
document.addEventListener("visibilitychange", quiet);
window.addEventListener("blur", () => down.clear());

/** @param {Event} event */
function swallow(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

window.addEventListener(
  "keydown",
  (event) => {
    if (!ACTING.includes(event.key) || event.isComposing) return;
    const now = performance.now();
    const held = event.repeat || now - (down.get(event.key) ?? -Infinity) < HELD_MS;
    down.set(event.key, now);
    if (!held) early = !calm();
    else {
      early = true;
      quiet();
      swallow(event);
    }
  },
  true,
);
// A button is pressed when Space is let go. A key that was pressed elsewhere does not count, nor a held one.
window.addEventListener(
  "keyup",
  (event) => {
    if (!ACTING.includes(event.key)) return;
    if (!down.delete(event.key)) swallow(event);
    afterwards();
  },
  true,
);
window.addEventListener("pointerdown", () => (early = !calm()), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, afterwards, true);

/** The click that belongs to a press comes right after its end. */
function afterwards() {
  window.setTimeout(() => (early = false));
}

// Forms of pages without a module of their own.
for (const form of document.querySelectorAll("form[data-settled]")) {
  form.addEventListener("submit", (event) => {
    if (!settled()) event.preventDefault();
  });
}

quiet();
