// @ts-check
// Sends the form of a page that goes on by itself, once: who comes back to it presses the button.

const form = /** @type {HTMLFormElement | null} */ (document.querySelector("#answer"));
const [visit] = performance.getEntriesByType("navigation");
if (form && /** @type {PerformanceNavigationTiming} */ (visit)?.type !== "back_forward") form.requestSubmit();
