// Greys of more than 8 bits: the values that this browser draws as black and as white. Neither dataset nor rounds change.

import { h } from "./dom.js";
import { drawGreys } from "./format.js";

const MOST = 65535;

/** Return a range as it was written, [low, high], or null where it is none. */
export function readRange(text) {
  const [low, high, ...more] = (text ?? "").split("-").map(Number);
  const isRange = more.length === 0 && Number.isInteger(low) && Number.isInteger(high) && low >= 0 && low < high && high <= MOST;
  return isRange ? [low, high] : null;
}

export class Greys {
  /** `own` is the dataset's range; another one is kept in `storage`, and `onchange` is called when it is chosen. */
  constructor({ dataset, own, storage, onchange }) {
    Object.assign(this, { own, storage, onchange, key: `outfold.greys.${dataset}` });
    const field = (name, label) => {
      this[name] = h("input", { type: "number", min: 0, max: MOST, onchange: () => this.choose(`${this.black.value}-${this.white.value}`) });
      return h("label", { class: "field" }, h("span", {}, label), this[name]);
    };
    this.reset = h("button", { type: "button", class: "link", onclick: () => this.choose(own.join("-")) }, "Greys of the dataset");
    this.element = h("div", { class: "greys", role: "group", "aria-label": "Greys of the cards" },
      h("h2", {}, "Greys"), field("black", "Black at"), field("white", "White at"), this.reset);
    this.#show(readRange(storage.getItem(this.key)) ?? own);
  }

  /** Draw by this range from now on; what is no range leaves all as it was. */
  choose(text) {
    const range = readRange(text) ?? this.range;
    if (range.join("-") === this.own.join("-")) this.storage.removeItem(this.key);
    else this.storage.setItem(this.key, range.join("-"));
    this.#show(range);
    this.onchange();
  }

  #show(range) {
    this.range = range;
    [this.black.value, this.white.value] = range;
    this.reset.hidden = range.join("-") === this.own.join("-");
    drawGreys(range);
  }
}
