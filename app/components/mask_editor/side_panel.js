// Right side of the editor: panel of the current region, and list of classes. The chosen class is painted.

import { foldName, nameElement, newName, offeredOf } from "../shared/classes.js";
import { fill, h, keepFocus, keycap } from "../shared/dom.js";
import { number, percent } from "../shared/format.js";
import { keyAt } from "../shared/keys.js";
import { icon } from "./icons.js";
/** @import { ClassId, MaskInfo, Status } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Picture } from "./picture.js" */

/** @type {Partial<Record<Status, [sign: string, word: string, look: string]>> & Record<"open", [string, string, string]>} */
const STATUSES = {
  open: ["○", "not judged yet", ""], accept: ["✓", "accepted", "ok"], bulk: ["✓", "accepted in bulk", "ok"], keep: ["=", "kept as given", "keep"], relabel: ["✎", "edited", "rel"], painted: ["✎", "painted over", "rel"],
  ambiguous: ["≈", "ambiguous", "amb"], exclude: ["✕", "excluded", "exc"], second_opinion: ["?", "needs a second opinion", "second"],
};

/** Return the tags of the image as a line, null if it has none. @param {MaskInfo} about */
function tagsLine(about) {
  return about.tags ? h("p", { class: "facts tagged" }, `Tagged: ${about.tags.map((id) => nameOf(about, id)).join(", ")}`) : null;
}

export class RegionPanel {
  /** `on` holds act(action). @param {{ keys: Keys, on: { act: (action: string) => void } }} options */
  constructor({ keys, on }) {
    this.keys = keys;
    this.on = on;
    this.element = h("div", { class: "region-panel", role: "group", "aria-label": "Region" });
  }

  /** @param {Picture} picture */
  draw(picture) {
    const { region, regions, index, about } = picture;
    if (!region) {
      const why = picture.round ? "This round found nothing in this image." : "No round has predicted this image yet.";
      fill(this.element, h("h2", {}, "Region"), h("p", { class: "about" }, `${why} What you paint is saved all the same.`), tagsLine(about));
      return;
    }
    const [sign, word, look] = STATUSES[region.status] ?? STATUSES.open;
    /** @param {string} kind @param {ClassId} id */
    const tag = (kind, id) => h("span", { class: `t ${kind}` }, h("i", { class: "swatch", style: { background: about.colours[id] ?? "transparent" } }), nameOf(about, id));
    fill(this.element,
      h("div", { class: "region-top" }, h("h2", {}, "Region ", h("b", {}, number(index + 1)), ` of ${number(regions.length)}`), h("span", { class: "steps" }, this.#step("previous_region", "Previous region", "‹"), this.#step("next_region", "Next region", "›"))),
      h("div", { class: "gv" }, h("div", {}, h("small", {}, "given"), tag("g", region.given)), h("span", { class: "ar", "aria-hidden": "true" }, "→"), h("div", {}, h("small", {}, "suggested"), tag("p", region.pseudo))),
      h("p", { class: "facts" }, `confidence ${percent(region.confidence)} · ${number(region.area)} px`),
      h("p", { class: `standing ${look}` }, h("span", { class: look ? "badge" : "" }, `${sign} ${word}`)),
      h("div", { class: "judge" }, this.#judge("accept", "Accept", "primary"), region.given !== -1 && this.#judge("keep", "Keep", "ghost")),
      h("div", { class: "judge others" }, this.#judge("ambiguous", "Ambiguous", "ghost"), this.#judge("exclude", "Exclude", "ghost"), this.#judge("second_opinion", "Second opinion", "ghost"), this.#judge("skip", "Skip", "ghost")), tagsLine(about));
  }

  /** @param {string} action @param {string} word @param {string} look */
  #judge(action, word, look) {
    const key = this.keys.label(action);
    return h("button", { type: "button", class: look, "aria-label": `${word} this region${key && `, key ${key}`}`, onpointerdown: keepFocus, onclick: () => this.on.act(action) }, word, this.keys.cap(action));
  }

  /** @param {string} action @param {string} label @param {string} sign */
  #step(action, label, sign) {
    const key = this.keys.label(action);
    return h("button", { type: "button", class: "step-region", title: `${label}${key && ` (${key})`}`, "aria-label": label, onpointerdown: keepFocus, onclick: () => this.on.act(action) }, sign);
  }
}

const WITH_SEARCH = 8; // classes from which on the search is shown
const UNLABELLED = "unlabelled";

/** Return the name of a class; null is outside the image, -1 unlabelled. @param {MaskInfo} about @param {ClassId | null} id */
export function nameOf(about, id) {
  if (id === null || id === undefined) return "";
  return id === about.ignore || id === -1 ? UNLABELLED : about.classes[id] ?? `class ${id}`;
}

export class ClassList {
  /** @type {MaskInfo} Open image. */ about;

  /**
   * `on` holds pick(id), lock(id), add(name), done().
   *
   * @param {{ on: { pick: (id: ClassId) => void, lock: (id: ClassId) => void, add: (name: string) => unknown, done: () => void } }} options
   */
  constructor({ on }) {
    this.on = on;
    /** @type {{ id: ClassId, name: string, lock: HTMLButtonElement, row: HTMLDivElement }[]} */
    this.entries = [];
    this.search = h("input", { type: "search", class: "class-search", placeholder: "Search a class", "aria-label": "Search a class", oninput: () => this.#filter(), onkeydown: (event) => this.#key(event) });
    this.rows = h("div", { class: "classes", role: "group", "aria-label": "Classes" });
    this.new = h("button", { type: "button", class: "link new-class", onpointerdown: keepFocus, onclick: () => this.#add() });
    this.element = h("div", { class: "class-panel" }, h("h2", {}, "Classes"), this.search, this.rows, this.new);
  }

  /** Show the offered classes of an image. @param {MaskInfo} about */
  open(about) {
    this.about = about;
    this.entries = [...offeredOf(about.classes), about.ignore].map((id, place) => this.#row(id, id === about.ignore ? -1 : place));
    fill(this.rows, this.entries.map(({ row }) => row));
    this.#close();
  }

  /** @param {{ label: ClassId, locked: Uint8Array }} state */
  draw({ label, locked }) {
    for (const { id, row, lock, name } of this.entries) {
      row.classList.toggle("on", id === label);
      row.firstElementChild?.setAttribute("aria-pressed", String(id === label));
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

  /** @param {ClassId} id @param {number} place */
  #row(id, place) {
    const { about } = this;
    const name = nameOf(about, id);
    const key = keyAt(place);
    const colour = about.colours[id];
    const choose = h("button", { type: "button", class: "class", title: name, "aria-label": `${name}${key ? `, key ${key}` : ""}`, onpointerdown: keepFocus, onclick: () => this.on.pick(id) },
      key ? keycap(key) : h("span", { class: "no-key" }), h("i", { class: `swatch${colour ? "" : " none"}`, style: colour ? { background: colour } : {} }), place < 0 ? h("span", { class: "class-name" }, name) : nameElement(about.classes, id, "span", { class: "class-name" }));
    const lock = h("button", { type: "button", class: "lock", "aria-label": `Protect ${name}`, onpointerdown: keepFocus, onclick: () => this.on.lock(id) });
    return { id, name, lock, row: h("div", { class: "class-row" }, choose, lock) };
  }

  #filter() {
    const wanted = foldName(this.search.value.trim());
    for (const { row, name } of this.entries) row.hidden = !foldName(name).includes(wanted);
    const name = newName(this.search.value, this.about.classes);
    this.new.textContent = name ? `Add class "${name}"` : "Add a class";
    this.new.hidden = !name && wanted !== "";
  }

  /** Add a class of the typed name, or focus the input. */
  #add() {
    const name = newName(this.search.value, this.about.classes);
    if (!name) return this.focusSearch();
    this.#close();
    this.on.add(name);
    return this.on.done();
  }

  #close() {
    this.search.value = "";
    this.#filter();
    this.search.hidden = offeredOf(this.about.classes).length < WITH_SEARCH;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const found = this.entries.find(({ row }) => !row.hidden);
    if (event.key === "Enter" && !found && !this.new.hidden) return void this.#add();
    if (event.key === "Enter" && found) this.on.pick(found.id);
    this.#close();
    this.on.done();
  }
}
