// The line below the cards: the main keys as buttons, the last decisions, the page.

import { fill, h, keycap } from "./dom.js";
import { fitClass, imageUrl } from "./format.js";
import { shown } from "./keys.js";

const BUTTONS = [
  ["accept", "accept"], ["keep", "keep"], ["class", "class"], ["search", "search"], ["ambiguous", "ambiguous"], ["exclude", "exclude"],
  ["second_opinion", "second opinion"], ["skip", "skip"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"],
];

export class Footer {
  /** `on` holds act(action), open(item), page(by); `words` are [action, word] in their order; `face` decides what a card shows. */
  constructor({ keys, base, classes, face, on, words = BUTTONS }) {
    Object.assign(this, { keys, base, classes, face, on, words });
    this.buttons = h("div", { class: "hints" });
    this.selected = h("span", { class: "selected" });
    this.last = h("div", { class: "last", role: "group", "aria-label": "Last decisions" });
    this.page = h("span", { class: "page" });
    this.previous = h("button", { type: "button", class: "link", title: "Previous page (Page ↑)", onclick: () => on.page(-1) }, "⇞ back");
    this.next = h("button", { type: "button", class: "link", title: "Next page (Page ↓)", onclick: () => on.page(1) }, "next ⇟");
    this.element = h("footer", {}, this.buttons, h("div", { class: "below" }, this.last, this.selected, h("div", { class: "pages" }, this.previous, this.page, this.next)));
    this.keysChanged();
  }

  keysChanged() {
    fill(this.buttons, this.words.map(([action, word]) => {
      if (action === "class") return h("span", { class: "hint", title: "The key stands beside each class" }, keycap("1"), "–", keycap("9"), ` ${word}`);
      const combo = this.keys.combos(action)[0];
      if (action === "blink") return h("span", { class: "hint" }, combo ? keycap(shown(combo)) : null, ` ${word}`);
      return h("button", { type: "button", class: "hint", dataset: { action }, onclick: () => this.on.act(action) }, combo ? keycap(shown(combo)) : null, ` ${word}`);
    }));
  }

  draw({ number, first, atEnd, selected, recent }) {
    this.page.textContent = `page ${number}`;
    this.previous.hidden = first;
    this.next.hidden = atEnd;
    this.selected.textContent = selected ? `${selected} selected · verdict keys act on them · Esc clears` : "";
    const drawn = new Map([...this.last.children].map((button) => [button.dataset.key, button]));
    fill(this.last, recent.map((item) => {
      const key = `${item.id} ${this.face.status(item)} ${item.label} ${item.skipped ?? false}`;
      if (drawn.has(key)) return drawn.get(key); // ten images less to make for every key
      const look = this.face.badge(item, this.classes);
      const label = `${this.face.said(item, this.classes)}: ${look?.[1] ?? "open"}`;
      return h("button", { type: "button", class: `mini ${look?.[2] ?? ""}`, dataset: { key }, title: label, "aria-label": `Look again at ${label}`, onclick: () => this.on.open(item) },
        h("img", { class: fitClass(item, 1), src: imageUrl(this.base, item, 96), alt: "" }), h("i", { "aria-hidden": "true" }, look?.[0] ?? ""));
    }));
  }
}
