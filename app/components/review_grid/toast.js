// One short message at a time, with at most one thing to click; over an open dialog it stands in it, else it would be hidden.

import { fill, h } from "./dom.js";

const SHOWN_MS = 6000;

export class Toast {
  constructor() {
    this.element = h("div", { class: "toast", role: "status", hidden: true });
  }

  /** Say `text`; `action` is {label, run}; what is `passing` goes with the next act. */
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

  /** Stand in the dialog that is open, which covers the page, and go back to the page with its end. */
  #come() {
    this.home ??= this.element.parentElement;
    const dialog = this.home?.querySelector("dialog[open]");
    if (!dialog || this.element.parentElement === dialog) return;
    dialog.append(this.element);
    dialog.addEventListener("close", () => this.home.append(this.element), { once: true });
  }
}
