// One short message at a time, with at most one thing to click.

import { fill, h } from "./dom.js";

const SHOWN_MS = 6000;

export class Toast {
  constructor() {
    this.element = h("div", { class: "toast", role: "status", hidden: true });
  }

  /** Say `text`; `action` is {label, run}. */
  say(text, action = null, { sticky = false, warning = false } = {}) {
    clearTimeout(this.timer);
    this.element.classList.toggle("warning", warning);
    fill(this.element, h("span", {}, text),
      action && h("button", { type: "button", onclick: () => { this.hide(); action.run(); } }, action.label));
    this.element.hidden = false;
    if (!sticky) this.timer = setTimeout(() => this.hide(), SHOWN_MS);
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }
}
