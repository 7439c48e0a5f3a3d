// One short message at a time, with at most one button. It is shown inside an open dialog, which would hide it otherwise.

import { fill, h } from "./dom.js";

const SHOWN_MS = 6000;

export class Toast {
  constructor() {
    /** @type {Element | null} Parent while no dialog is open. */
    this.home = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.passing = false;
    this.element = h("div", { class: "toast", role: "status", hidden: true });
  }

  /**
   * Show a text; `action` is {label, run}; a `passing` message is hidden by the next act.
   *
   * @param {string} text
   * @param {{ label: string, run: () => unknown } | null} [action]
   * @param {{ sticky?: boolean, warning?: boolean, passing?: boolean }} [options]
   */
  say(text, action = null, { sticky = false, warning = false, passing = false } = {}) {
    clearTimeout(this.timer);
    this.passing = passing;
    this.#come();
    this.element.classList.toggle("warning", warning);
    fill(this.element, h("span", {}, text),
      action && h("button", { type: "button", onclick: () => { this.hide(); action.run(); } }, action.label));
    this.element.hidden = false;
    if (!sticky) this.timer = setTimeout(() => this.hide(), SHOWN_MS);
  }

  /** Another act has been done: an offer about the one before it would mean the wrong one. */
  pass() {
    if (this.passing) this.hide();
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }

  /** Move into the open dialog, which covers the page, and back when it closes. */
  #come() {
    this.home ??= this.element.parentElement;
    const dialog = this.home?.querySelector("dialog[open]");
    if (!dialog || this.element.parentElement === dialog) return;
    dialog.append(this.element);
    dialog.addEventListener("close", () => this.home?.append(this.element), { once: true });
  }
}
