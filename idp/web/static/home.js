// @ts-check
// The module of the person's own page: it shows times as the person's own
// clock does. Without it they stand there in UTC.

import "./press.js";

for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
