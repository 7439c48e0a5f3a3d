// The classes: colour, number key, name, and whether their pixels are protected. The chosen one is what is painted.

import { fill, h, keycap } from "../review_grid/dom.js";
import { icon } from "./icons.js";

const WITH_KEY = 20;
const UNLABELLED = "unlabelled";

/** Return what a class is called; null is outside the image, -1 what nobody labelled. */
export function nameOf(about, id) {
  if (id === null || id === undefined) return "";
  return id === about.ignore || id === -1 ? UNLABELLED : about.classes[id] ?? `class ${id}`;
}

export class ClassList {
  /** `on` holds pick(id), lock(id). */
  constructor({ on }) {
    this.on = on;
    this.search = h("input", { type: "search", class: "class-search", placeholder: "Search a class", "aria-label": "Search a class", oninput: () => this.#filter(), onkeydown: (event) => this.#key(event) });
    this.rows = h("div", { class: "classes", role: "group", "aria-label": "Classes" });
    this.element = h("div", { class: "class-panel" }, h("h2", {}, "Classes"), this.search, this.rows);
  }

  open(about) {
    this.about = about;
    this.entries = [...about.classes.keys(), about.ignore].map((id) => this.#row(id));
    this.search.value = "";
    fill(this.rows, this.entries.map(({ row }) => row));
    this.search.hidden = about.classes.length < 8;
  }

  draw({ label, locked }) {
    for (const { id, row, lock, name } of this.entries) {
      row.classList.toggle("on", id === label);
      row.firstChild.setAttribute("aria-pressed", String(id === label));
      if (lock.getAttribute("aria-pressed") === String(Boolean(locked[id]))) continue;
      lock.setAttribute("aria-pressed", String(Boolean(locked[id])));
      lock.title = locked[id] ? `${name} is protected: nothing paints over it` : `Protect ${name}`;
      fill(lock, icon(locked[id] ? "locked" : "open"));
    }
    this.entries.find(({ id }) => id === label)?.row.scrollIntoView({ block: "nearest" });
  }

  focusSearch() {
    this.search.hidden = false;
    this.search.focus();
    this.search.select();
  }

  #row(id) {
    const { about } = this;
    const name = nameOf(about, id);
    const place = id === about.ignore ? -1 : id;
    const key = place < 0 || place >= WITH_KEY ? "" : `${place > 9 ? "⇧" : ""}${(place + 1) % 10}`;
    const colour = about.colours[id];
    const choose = h("button", { type: "button", class: "class", title: name, "aria-label": `${name}${key ? `, key ${key}` : ""}`, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.pick(id) },
      key ? keycap(key) : h("span", { class: "no-key" }), h("i", { class: `swatch${colour ? "" : " none"}`, style: colour ? { background: colour } : {} }), h("span", { class: "class-name" }, name));
    const lock = h("button", { type: "button", class: "lock", "aria-label": `Protect ${name}`, onpointerdown: (event) => event.preventDefault(), onclick: () => this.on.lock(id) });
    return { id, name, lock, row: h("div", { class: "class-row" }, choose, lock) };
  }

  #filter() {
    const wanted = this.search.value.trim().toLowerCase();
    for (const { row, name } of this.entries) row.hidden = !name.toLowerCase().includes(wanted);
  }

  #key(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const found = this.entries.find(({ row }) => !row.hidden);
    if (event.key === "Enter" && found) this.on.pick(found.id);
    this.search.value = "";
    this.#filter();
    this.search.hidden = this.about.classes.length < 8;
    this.on.done();
  }
}
