// The classes with their colours, the key that means each, and how many regions wait; a click is a filter.

import { fill, h, keycap } from "./dom.js";
import { number } from "./format.js";
import { keyFor } from "./keys.js";
import { swatch } from "./regions.js";

const SIDES = { pseudo: "suggested", given: "given" };

/** Return how many findings each class has on one side of the pairs [given, suggested, count]. */
export function countsBySide(pairs, side) {
  const place = side === "given" ? 0 : 1;
  const counts = new Map();
  for (const pair of pairs) counts.set(pair[place], (counts.get(pair[place]) ?? 0) + pair[2]);
  return counts;
}

export class Legend {
  /** `digits` is the class of each digit key; `onpick({given | pseudo: class or null})`. */
  constructor({ classes, colours, digits, onpick }) {
    Object.assign(this, { classes, colours, digits, onpick, side: "pseudo" });
    this.sides = Object.entries(SIDES).map(([side, word]) => h("button", {
      type: "button", class: "side", title: `Count and filter by the ${word} class`, dataset: { side }, onclick: () => this.#turn(side),
    }, word));
    this.rows = classes.map((name, id) => this.#row(name, id));
    this.element = h("div", { class: "legend" },
      h("div", { class: "legend-head" }, h("h2", {}, "Classes"), h("div", { class: "sides", role: "group", "aria-label": "Which class" }, this.sides)), h("div", { class: "classes" }, this.rows));
  }

  /** Show how many wait; a filter by the other side turns the legend to it. */
  draw(pairs, filter) {
    Object.assign(this, { pairs, filter });
    if (filter[this.side] === null && filter.given !== null) this.side = "given";
    const counts = countsBySide(pairs, this.side);
    for (const button of this.sides) button.setAttribute("aria-pressed", String(button.dataset.side === this.side));
    this.rows.forEach((row, id) => {
      const count = counts.get(id) ?? 0;
      row.setAttribute("aria-pressed", String(filter[this.side] === id));
      row.classList.toggle("none", !count);
      fill(row.lastChild, number(count));
    });
  }

  #row(name, id) {
    const key = keyFor(id, null, this.digits);
    return h("button", { type: "button", class: "class", title: key ? `${name}: key ${key} says that this is right` : name, onclick: () => this.#pick(id) },
      swatch(this.colours, id), h("span", { class: "name" }, name), key ? keycap(key) : h("span", {}), h("em", {}));
  }

  #pick(id) {
    this.onpick({ [this.side]: this.filter[this.side] === id ? null : id });
  }

  #turn(side) {
    const chosen = this.filter[this.side];
    const other = this.side;
    this.side = side;
    if (side !== other && chosen !== null) this.onpick({ [other]: null, [side]: chosen });
    else this.draw(this.pairs, this.filter);
  }
}
