// @ts-check
// Why the dialog cannot go on: the screen that says so, with what it names.

export class Failure extends Error {
  /**
   * @param {string} screen data-screen of a section of the page
   * @param {Record<string, string>} [slots] what fills its data-slot elements
   */
  constructor(screen, slots = {}) {
    super(screen + " " + JSON.stringify(slots));
    this.screen = screen;
    this.slots = slots;
  }
}
