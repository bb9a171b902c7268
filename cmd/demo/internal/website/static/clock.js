// @ts-check
// The live clock: each server-sent event is a moment in UTC; the hands show it in the visitor's own zone.

const svg = "http://www.w3.org/2000/svg";
const reading = /** @type {HTMLElement} */ (document.getElementById("reading"));
const state = /** @type {HTMLElement} */ (document.getElementById("state"));

/** @param {string} id @param {number} turn part of a full turn, 0 to 1 */
function turn(id, turn) {
  document.getElementById(id)?.setAttribute("transform", `rotate(${(turn * 360).toFixed(2)})`);
}

/** @param {string} text what the page says of the stream */
function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

for (let i = 0; i < 60; i++) {
  const mark = document.createElementNS(svg, "path");
  mark.setAttribute("d", i % 5 === 0 ? "M0 -100V-84" : "M0 -100V-95");
  mark.setAttribute("transform", `rotate(${i * 6})`);
  document.getElementById("marks")?.append(mark);
}

const beats = new EventSource("/clock/beats");
beats.addEventListener("message", (event) => {
  const now = new Date(event.data);
  const minutes = now.getMinutes() + now.getSeconds() / 60;
  turn("seconds", now.getSeconds() / 60);
  turn("minutes", minutes / 60);
  turn("hours", ((now.getHours() % 12) + minutes / 60) / 12);
  reading.textContent = now.toLocaleTimeString();
  say("The stream runs.");
});
beats.addEventListener("error", () => say("The stream broke off; the browser tries again."));
