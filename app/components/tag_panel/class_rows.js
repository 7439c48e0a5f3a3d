// The classes of the image at hand: key, colour, name, whether it is marked and whether that is only suggested.

import { fill, h, keycap } from "../review_grid/dom.js";
import { percent } from "../review_grid/format.js";
import { classesByDigit } from "../review_grid/keys.js";

const WITH_KEY = 20;

/** Return the class that a digit key stands for, undefined where it stands for none. */
export function classOf(place, classes) {
  const byDigit = classesByDigit(classes);
  const id = byDigit ? byDigit[place] : place;
  return id >= 0 && id < classes.length ? id : undefined;
}

/** Return the key of a class: "1", "⇧3", or "" where it has none. */
export function keyOf(id, classes) {
  const byDigit = classesByDigit(classes);
  const place = byDigit ? byDigit.indexOf(id) : id;
  return place < 0 || place >= WITH_KEY ? "" : `${place > 9 ? "⇧" : ""}${(place + 1) % 10}`;
}

export class ClassRows {
  /** `on` holds toggle(id). */
  constructor({ on }) {
    this.on = on;
    this.rows = h("div", { class: "classes", role: "group", "aria-label": "Classes in this image" });
    this.element = h("div", { class: "class-panel" }, this.rows);
  }

  open({ classes, colours }) {
    this.entries = classes.map((name, id) => {
      const key = keyOf(id, classes);
      const note = h("em", {});
      const row = h("button", {
        type: "button", class: "tag", title: name, "aria-label": `${name}${key ? `, key ${key}` : ""}`, "aria-pressed": "false",
        onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.toggle(id),
      }, key ? keycap(key) : h("span", { class: "no-key" }), h("i", { class: "swatch", style: { background: colours[id] } }), h("span", { class: "class-name" }, name), note,
      h("b", { class: "mark", "aria-hidden": "true" }, "✓"));
      return { id, row, note };
    });
    fill(this.rows, this.entries.map(({ row }) => row));
  }

  /** Show which classes are marked; `item` says what is suggested, by what share of the pixels. */
  draw(marks, item) {
    const share = new Map(item.suggested);
    for (const { id, row, note } of this.entries) {
      row.setAttribute("aria-pressed", String(marks.ids.has(id)));
      row.classList.toggle("suggested", marks.suggested.has(id));
      note.textContent = share.has(id) ? (share.get(id) < 0.01 ? "< 1 %" : percent(share.get(id))) : "";
    }
  }

  reveal(id) {
    this.entries.find((entry) => entry.id === id)?.row.scrollIntoView({ block: "nearest" });
  }
}
